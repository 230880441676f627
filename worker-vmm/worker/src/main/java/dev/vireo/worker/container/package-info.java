/** Containers in microVMs: their images on this node, and the process that an agent runs of one. */
@NullMarked
package dev.vireo.worker.container;

import org.jspecify.annotations.NullMarked;

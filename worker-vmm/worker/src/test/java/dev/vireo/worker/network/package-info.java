/** Routed networks, with the kernel as node, guest and world. */
@NullMarked
package dev.vireo.worker.network;

import org.jspecify.annotations.NullMarked;

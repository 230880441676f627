@NullMarked
package dev.vireo.worker.node;

import org.jspecify.annotations.NullMarked;

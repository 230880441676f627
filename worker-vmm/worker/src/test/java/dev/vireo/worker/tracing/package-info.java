@NullMarked
package dev.vireo.worker.tracing;

import org.jspecify.annotations.NullMarked;

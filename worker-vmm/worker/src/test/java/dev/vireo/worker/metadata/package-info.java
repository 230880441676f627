@NullMarked
package dev.vireo.worker.metadata;

import org.jspecify.annotations.NullMarked;

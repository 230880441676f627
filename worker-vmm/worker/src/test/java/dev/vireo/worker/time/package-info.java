@NullMarked
package dev.vireo.worker.time;

import org.jspecify.annotations.NullMarked;

@NullMarked
package dev.vireo.worker.log;

import org.jspecify.annotations.NullMarked;

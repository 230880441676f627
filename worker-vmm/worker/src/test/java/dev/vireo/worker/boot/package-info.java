@NullMarked
package dev.vireo.worker.boot;

import org.jspecify.annotations.NullMarked;

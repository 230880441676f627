@NullMarked
package dev.vireo.worker.console;

import org.jspecify.annotations.NullMarked;

@NullMarked
package dev.vireo.worker.microvm;

import org.jspecify.annotations.NullMarked;

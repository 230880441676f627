@NullMarked
package dev.vireo.worker.state;

import org.jspecify.annotations.NullMarked;

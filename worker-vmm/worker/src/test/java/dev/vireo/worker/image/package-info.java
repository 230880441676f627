@NullMarked
package dev.vireo.worker.image;

import org.jspecify.annotations.NullMarked;

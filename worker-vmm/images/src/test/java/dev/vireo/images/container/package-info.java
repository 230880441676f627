@NullMarked
package dev.vireo.images.container;

import org.jspecify.annotations.NullMarked;

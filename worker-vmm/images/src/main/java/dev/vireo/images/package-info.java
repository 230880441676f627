/**
 * Guest images: what a microVM boots, as directories of an image store, and how they are built from
 * Debian packages. {@link dev.vireo.images.ImageDirectory} reads the store; {@code Main} fills it.
 */
@NullMarked
package dev.vireo.images;

import org.jspecify.annotations.NullMarked;

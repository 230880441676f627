/**
 * Container images on a node: a cache of read-only root file systems, each with what its image says
 * of how to start it. {@link dev.vireo.images.container.ContainerImageCache} is all that a worker
 * needs; images are pulled by a program of its own, {@code dev.vireo.oci.Main}.
 */
@NullMarked
package dev.vireo.images.container;

import org.jspecify.annotations.NullMarked;

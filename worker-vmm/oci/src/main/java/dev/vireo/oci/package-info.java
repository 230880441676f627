/**
 * Container images become root file systems: an {@link dev.vireo.oci.ImageSource} has an image, its
 * layers are read as tar streams into a {@link dev.vireo.oci.RootTree} and merged into one squashfs
 * in the node's cache. Nothing of a layer is ever extracted onto the host. {@code Main} is a
 * program of its own, so that what a registry or an archive does to it is not done to a worker.
 */
@NullMarked
package dev.vireo.oci;

import org.jspecify.annotations.NullMarked;

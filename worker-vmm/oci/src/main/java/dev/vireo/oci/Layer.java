package dev.vireo.oci;

import java.util.Optional;

/**
 * One layer of an image: a tar, perhaps compressed.
 *
 * @param descriptor of the blob as it is stored; {@code docker save} tells none
 * @param diffId digest of the tar, not compressed
 */
record Layer(Optional<Descriptor> descriptor, String diffId, Blob blob) {}

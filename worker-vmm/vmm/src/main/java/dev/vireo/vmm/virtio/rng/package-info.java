/** virtio-rng (VIRTIO 1.2, section 5.4). */
@NullMarked
package dev.vireo.vmm.virtio.rng;

import org.jspecify.annotations.NullMarked;

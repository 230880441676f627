/** virtio-blk (VIRTIO 1.2, section 5.2). */
@NullMarked
package dev.vireo.vmm.virtio.block;

import org.jspecify.annotations.NullMarked;

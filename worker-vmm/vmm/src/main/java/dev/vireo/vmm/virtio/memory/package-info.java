/** virtio-mem (VIRTIO 1.2, section 5.15). */
@NullMarked
package dev.vireo.vmm.virtio.memory;

import org.jspecify.annotations.NullMarked;

/** virtio-balloon (VIRTIO 1.2, section 5.5). */
@NullMarked
package dev.vireo.vmm.virtio.balloon;

import org.jspecify.annotations.NullMarked;

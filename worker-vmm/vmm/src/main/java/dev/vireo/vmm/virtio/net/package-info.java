/** virtio-net (VIRTIO 1.2, section 5.1). */
@NullMarked
package dev.vireo.vmm.virtio.net;

import org.jspecify.annotations.NullMarked;

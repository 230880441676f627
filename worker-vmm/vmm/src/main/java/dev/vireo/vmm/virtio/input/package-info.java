/** virtio-input (VIRTIO 1.2, section 5.8), as far as a keyboard with a power button goes. */
@NullMarked
package dev.vireo.vmm.virtio.input;

import org.jspecify.annotations.NullMarked;

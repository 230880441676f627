/**
 * The virtio-mmio transport, version 2 (VIRTIO 1.2, section 4.2): registers in, signals out. It
 * does not know which device it carries.
 */
@NullMarked
package dev.vireo.vmm.virtio.mmio;

import org.jspecify.annotations.NullMarked;

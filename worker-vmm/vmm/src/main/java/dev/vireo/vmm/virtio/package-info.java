/**
 * What every virtio device is, whatever carries it: features, status, queues, and the signals to
 * its driver. README.md beside this file tells where a buffer's life goes, and how to add a device.
 */
@NullMarked
package dev.vireo.vmm.virtio;

import org.jspecify.annotations.NullMarked;

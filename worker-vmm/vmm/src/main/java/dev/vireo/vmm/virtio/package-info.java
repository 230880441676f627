/**
 * What every virtio device is, whatever carries it: features, status, queues, and the signals to
 * its driver.
 */
@NullMarked
package dev.vireo.vmm.virtio;

import org.jspecify.annotations.NullMarked;

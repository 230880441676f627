/**
 * Split virtqueues (VIRTIO 1.2, section 2.7), the device's side.
 *
 * <p>A buffer's life: the driver writes descriptors, puts the chain's head into the available ring
 * and moves its index on. {@link dev.vireo.vmm.virtio.queue.QueueWorker} wakes, {@link
 * dev.vireo.vmm.virtio.queue.Virtqueue#pop} reads the head and each descriptor once and leaves what
 * it read in a {@link dev.vireo.vmm.virtio.queue.DescriptorChain}. The device does the I/O on those
 * addresses, and {@link dev.vireo.vmm.virtio.queue.Virtqueue#complete} returns the head in the used
 * ring. One interrupt, if the driver wants it, tells of all that was completed.
 *
 * <p>Which accesses are ordered, and why that suffices: "The memory model" in virtio/README.md;
 * {@code worker-vmm/stress} tests it.
 *
 * <p>Two kinds of wrong: a <em>fault</em> ({@link dev.vireo.vmm.virtio.queue.VirtqueueException})
 * leaves no chain that could be returned, and the device needs a reset; a <em>defect</em> ({@link
 * dev.vireo.vmm.virtio.queue.ChainDefect}) spoils one request, which is returned with an error, and
 * the queue goes on.
 */
@NullMarked
package dev.vireo.vmm.virtio.queue;

import org.jspecify.annotations.NullMarked;

package dev.vireo.vmm.virtio.queue;

/**
 * How a driver laid out a queue. Nothing of it is trusted; {@link Virtqueue} checks it.
 *
 * @param size entries
 * @param descriptorTable guest physical address of the descriptor table
 * @param availableRing guest physical address of the driver area
 * @param usedRing guest physical address of the device area
 */
public record QueueSetup(int size, long descriptorTable, long availableRing, long usedRing) {}

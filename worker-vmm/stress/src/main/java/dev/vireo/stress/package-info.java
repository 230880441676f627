/**
 * The memory model of {@code vmm.virtio} under JCStress: the device's side is the VMM's own code,
 * the driver's is a thread that does as Linux does. Naive variants leave one step out and show the
 * outcome that is forbidden otherwise. How to run it: CONTRIBUTING.md.
 *
 * <p>What is about interrupt registers is in {@code dev.vireo.vmm.virtio.mmio}, which alone may see
 * them. It has no {@code package-info} here: the VMM's is that package's.
 */
@NullMarked
package dev.vireo.stress;

import org.jspecify.annotations.NullMarked;

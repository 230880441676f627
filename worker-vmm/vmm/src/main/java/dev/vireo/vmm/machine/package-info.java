/**
 * The machines: address map, legacy devices, vCPU threads, and the routing of their exits. {@link
 * dev.vireo.vmm.machine.Machine} is what they have in common; {@link
 * dev.vireo.vmm.machine.X86Machine} and {@link dev.vireo.vmm.machine.Arm64Machine} implement what
 * {@link dev.vireo.catalog.X86Platform}, {@link dev.vireo.catalog.Arm64Platform} and their tables
 * tell the guest.
 */
@NullMarked
package dev.vireo.vmm.machine;

import org.jspecify.annotations.NullMarked;

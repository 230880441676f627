/**
 * The machine: address map, legacy devices, vCPU threads, and the routing of their exits.
 * X86Machine implements what {@link dev.vireo.catalog.X86Platform} and the tables tell the guest.
 */
@NullMarked
package dev.vireo.vmm.machine;

import org.jspecify.annotations.NullMarked;

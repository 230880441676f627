/**
 * The virtual machine monitor: one process for each microVM. Its packages are the layers of a
 * machine: {@code kvm} and {@code memory} at the bottom, {@code boot}, {@code virtio} and {@code
 * backend} on them, {@code machine} that puts them together, and {@code control} above.
 */
@NullMarked
package dev.vireo.vmm;

import org.jspecify.annotations.NullMarked;

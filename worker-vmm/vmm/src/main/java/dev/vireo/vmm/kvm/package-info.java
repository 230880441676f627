/**
 * KVM's interface ({@code linux/kvm.h}, Documentation/virt/kvm/api.rst): one class per file
 * descriptor, one per structure. They know the kernel's layouts and nothing of the machine.
 */
@NullMarked
package dev.vireo.vmm.kvm;

import org.jspecify.annotations.NullMarked;

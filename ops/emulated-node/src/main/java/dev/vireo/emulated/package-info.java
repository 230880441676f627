/**
 * The emulated node: a QEMU that needs no hardware virtualization (TCG) and offers it to its guest
 * (nested SVM), so that Debian's kernel in it has a real {@code /dev/kvm}. The real worker and the
 * real VMM run there and boot Linux guests on hosts that could not.
 *
 * <p>{@link dev.vireo.emulated.OuterImage} is what QEMU boots, built once and cached; a {@link
 * dev.vireo.emulated.JobDisk} is what it is to do; {@link dev.vireo.emulated.OuterMachine} is the
 * QEMU process and its owner.
 */
@NullMarked
package dev.vireo.emulated;

import org.jspecify.annotations.NullMarked;

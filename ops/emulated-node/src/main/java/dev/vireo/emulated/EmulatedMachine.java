package dev.vireo.emulated;

import dev.vireo.images.Architecture;

/**
 * What QEMU is to emulate: on each architecture, a machine with virtualization that Debian's kernel
 * for clouds finds its way on.
 *
 * @param program QEMU's
 * @param options machine and CPU
 * @param serialDevice for serial ports beyond the one of the kernel's console
 * @param kernelArguments that name that console, and whatever helps on this machine
 * @param guestKernelArguments for the kernels of the node's guests; may be empty
 */
record EmulatedMachine(
    String program,
    String options,
    String serialDevice,
    String kernelArguments,
    String guestKernelArguments) {
  /** With nested SVM. TCG does not emulate the features left out, and would say so line by line. */
  private static final EmulatedMachine X86_64 =
      new EmulatedMachine(
          "qemu-system-x86_64",
          "-M q35 -cpu EPYC,-rdseed,-sha-ni,-fxsr-opt,-misalignsse,-3dnowprefetch,-osvw,-topoext,"
              + "-nrip-save,-xsavec",
          "isa-serial",
          "console=ttyS0 reboot=t tsc=reliable no_timer_check",
          // A guest may sleep through an interrupt (see the README), then until its next timer:
          // there is always one.
          "nohz=off");

  /** With EL2 and VHE, in which KVM is built into the kernel. */
  private static final EmulatedMachine ARM64 =
      new EmulatedMachine(
          "qemu-system-aarch64",
          "-M virt,virtualization=on,gic-version=3 -cpu neoverse-n1",
          "pci-serial",
          "console=ttyAMA0",
          "");

  static EmulatedMachine of(Architecture architecture) {
    return switch (architecture) {
      case X86_64 -> X86_64;
      case ARM64 -> ARM64;
    };
  }
}

package dev.vireo.vmm.boot;

import dev.vireo.catalog.Arm64DeviceTree;
import dev.vireo.catalog.Arm64Platform;
import dev.vireo.catalog.DeviceSlot;
import dev.vireo.linux.Fd;
import dev.vireo.linux.Linux;
import dev.vireo.proto.errors.ErrorReason;
import dev.vireo.vmm.kvm.Arm64Vcpu;
import dev.vireo.vmm.memory.GuestMemory;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Puts kernel, initramfs and device tree into an arm64 guest's fresh memory
 * (Documentation/arch/arm64/booting.rst): the kernel at its beginning, the others as high as they
 * may be.
 */
public final class Arm64BootLoader {
  private static final long PAGE = 4096;
  private static final long MIB = 1 << 20;

  /** Section 2: within two megabytes that hold nothing else. */
  private static final long DEVICE_TREE_AREA = 2 * MIB;

  /** Section 4: an initramfs lies with the kernel in a window of this size. */
  private static final long WINDOW = 1L << 30;

  /** How a kernel is entered: x0 has the address of the device tree, the other registers zero. */
  public record Entry(long address, long deviceTree) {
    /** Sets the vCPU, fresh from its reset, so that its first instruction is the kernel's. */
    public void applyTo(Arm64Vcpu vcpu) {
      vcpu.setProgramCounter(address);
      vcpu.setX0(deviceTree);
    }
  }

  private Arm64BootLoader() {}

  /**
   * Loads everything.
   *
   * @param slots of the devices
   * @throws SpecException if a file is not what it should be, or it does not all fit
   */
  public static Entry load(
      GuestMemory memory,
      Fd kernel,
      @Nullable Fd initramfs,
      String commandLine,
      List<DeviceSlot> slots,
      int vcpus) {
    BootFiles.checkCommandLine(commandLine, BootFiles.MAX_COMMAND_LINE_BYTES);
    long base = Arm64Platform.RAM_BASE;
    try (KernelFile file = new KernelFile(kernel)) {
      Arm64Image image = Arm64Image.of(file);
      long initramfsBytes = initramfs == null ? 0 : BootFiles.sizeOf(initramfs);
      long end = Math.min(memory.regions().getFirst().end(), base + WINDOW);
      long tree = (end - DEVICE_TREE_AREA) & -DEVICE_TREE_AREA;
      long initramfsAddress = (tree - initramfsBytes) & -PAGE;
      if (initramfsAddress < image.end(base)) {
        throw tooSmall(image.end(base) - base + initramfsBytes, end - base);
      }
      image.load(memory, base);
      Arm64DeviceTree.Initramfs place = null;
      if (initramfs != null && initramfsBytes > 0) {
        BootFiles.loadInitramfs(memory, initramfs, initramfsAddress, initramfsBytes);
        place = new Arm64DeviceTree.Initramfs(initramfsAddress, initramfsAddress + initramfsBytes);
      }
      byte[] seed = Linux.randomBytes(Arm64DeviceTree.SEED_BYTES);
      memory.write(tree, Arm64DeviceTree.of(slots, vcpus, memory.size(), commandLine, place, seed));
      return new Entry(image.address(base), tree);
    }
  }

  private static SpecException tooSmall(long kernelAndInitramfs, long available) {
    // The tree's area begins at a multiple of its size.
    long need = (kernelAndInitramfs + PAGE + 2 * DEVICE_TREE_AREA + MIB - 1) / MIB;
    return new SpecException(
        ErrorReason.MEMORY_TOO_SMALL,
        "memory_mib",
        "kernel, initramfs and boot data need at least "
            + need
            + " MiB within 1 GiB, the machine has "
            + available / MIB);
  }
}

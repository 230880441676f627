package dev.vireo.linux;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;

/**
 * What this host's KVM can do ({@code linux/kvm.h}, Documentation/virt/kvm/api.rst).
 *
 * @param apiVersion 12 since 2007
 * @param vendorModule {@code kvm_intel}, {@code kvm_amd}, {@code kvm_pvm}; empty if none is listed
 * @param hardwareVirtualization whether the vendor module uses the CPU's: an unmodified Linux guest
 *     needs it
 * @param maxVcpus vCPUs that a VM may have
 * @param memorySlots memory regions that a VM may have
 */
public record KvmProbe(
    int apiVersion,
    String vendorModule,
    boolean hardwareVirtualization,
    int maxVcpus,
    int memorySlots,
    boolean userMemory,
    boolean irqchip,
    boolean irqfd,
    boolean ioeventfd,
    boolean readOnlyMemory,
    boolean immediateExit) {
  private static final int KVM_GET_API_VERSION = 0xAE00;
  private static final int KVM_CHECK_EXTENSION = 0xAE03;

  private static final int KVM_CAP_IRQCHIP = 0;
  private static final int KVM_CAP_USER_MEMORY = 3;
  private static final int KVM_CAP_NR_MEMSLOTS = 10;
  private static final int KVM_CAP_IRQFD = 32;
  private static final int KVM_CAP_IOEVENTFD = 36;
  private static final int KVM_CAP_MAX_VCPUS = 66;
  private static final int KVM_CAP_READONLY_MEM = 81;
  private static final int KVM_CAP_IMMEDIATE_EXIT = 136;

  /**
   * Asks {@code /dev/kvm}.
   *
   * @throws LinuxException if it is missing or may not be opened
   */
  public static KvmProbe probe() {
    return probe(Path.of("/sys/module"), Linux.X86_64);
  }

  private static KvmProbe probe(Path modules, boolean x86) {
    try (Fd kvm = Fd.open("/dev/kvm", Fd.O_RDWR)) {
      String vendor = vendorModule(modules).orElse("");
      return new KvmProbe(
          kvm.ioctl(KVM_GET_API_VERSION, 0, "KVM_GET_API_VERSION"),
          vendor,
          // On arm64 KVM has no module of its own and needs EL2 anyway.
          !x86 || vendor.equals("kvm_intel") || vendor.equals("kvm_amd"),
          check(kvm, KVM_CAP_MAX_VCPUS),
          check(kvm, KVM_CAP_NR_MEMSLOTS),
          has(kvm, KVM_CAP_USER_MEMORY),
          has(kvm, KVM_CAP_IRQCHIP),
          has(kvm, KVM_CAP_IRQFD),
          has(kvm, KVM_CAP_IOEVENTFD),
          has(kvm, KVM_CAP_READONLY_MEM),
          has(kvm, KVM_CAP_IMMEDIATE_EXIT));
    }
  }

  /** Whether everything is there that a VMM cannot do without. */
  public boolean usable() {
    return apiVersion == 12 && userMemory && irqchip && irqfd && ioeventfd && immediateExit;
  }

  private static Optional<String> vendorModule(Path modules) {
    for (String name : new String[] {"kvm_intel", "kvm_amd", "kvm_pvm"}) {
      if (Files.isDirectory(modules.resolve(name))) {
        return Optional.of(name);
      }
    }
    return Optional.empty();
  }

  private static boolean has(Fd kvm, int capability) {
    return check(kvm, capability) > 0;
  }

  private static int check(Fd kvm, int capability) {
    return kvm.ioctl(KVM_CHECK_EXTENSION, capability, "KVM_CHECK_EXTENSION");
  }
}

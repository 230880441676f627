package dev.vireo.catalog;

import java.util.Arrays;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * The device tree of the arm64 machine, all that a kernel learns of it: processors, memory, the
 * hardware of {@link Arm64Platform}, virtio-mmio devices, and what the kernel is booted with.
 * Bindings are Linux's, Documentation/devicetree/bindings.
 */
public final class Arm64DeviceTree {
  /** Devices deliver interrupts by irqfd, which makes edges. */
  private static final int EDGE_RISING = 1;

  private static final int LEVEL_HIGH = 4;
  private static final int SHARED = 0;
  private static final int PRIVATE = 1;

  /** Private interrupts of the architecture's timers, as KVM has them (INTID less 16). */
  private static final int SECURE_TIMER = 13;

  private static final int PHYSICAL_TIMER = 14;
  private static final int VIRTUAL_TIMER = 11;
  private static final int HYPERVISOR_TIMER = 10;

  private static final int GIC_PHANDLE = 1;
  private static final int CLOCK_PHANDLE = 2;

  /** The 16550's reference, 16 times 115,200 baud; its divisor is not looked at. */
  private static final int SERIAL_HERTZ = 1_843_200;

  private static final int KASLR_SEED_BYTES = 8;

  private static final int BUS_HERTZ = 24_000_000;

  /**
   * Where the initramfs is.
   *
   * @param start guest physical address of its first byte
   * @param end exclusive
   */
  public record Initramfs(long start, long end) {}

  /**
   * Bytes of randomness that a tree takes: eight for the kernel's address, the rest for its pool.
   */
  public static final int SEED_BYTES = 72;

  private final FlattenedDeviceTree tree = new FlattenedDeviceTree();

  private Arm64DeviceTree() {}

  /**
   * The tree as a blob, in which slots' GSIs are numbers of SPIs.
   *
   * @param memoryBytes of RAM, from {@link Arm64Platform#RAM_BASE} on
   * @param seed {@link #SEED_BYTES}, random and never used again: the CPU may have none to give
   * @throws IllegalArgumentException for fewer than 1 or more than {@link Arm64Platform#MAX_VCPUS}
   *     vCPUs
   */
  public static byte[] of(
      List<DeviceSlot> slots,
      int vcpus,
      long memoryBytes,
      String commandLine,
      @Nullable Initramfs initramfs,
      byte[] seed) {
    Arm64Platform.requireVcpus(vcpus);
    if (seed.length != SEED_BYTES) {
      throw new IllegalArgumentException("a seed of " + seed.length + " bytes");
    }
    Arm64DeviceTree tree = new Arm64DeviceTree();
    tree.tree
        .begin("")
        .cells("#address-cells", 2)
        .cells("#size-cells", 2)
        .text("compatible", "vireo,microvm", "linux,dummy-virt")
        .text("model", "Vireo microVM")
        .cells("interrupt-parent", GIC_PHANDLE);
    tree.chosen(commandLine, initramfs, seed);
    tree.memory(memoryBytes);
    tree.processors(vcpus);
    tree.firmware();
    tree.interruptController(vcpus);
    tree.timer();
    tree.clocks();
    tree.serial();
    for (DeviceSlot slot : slots) {
      tree.virtio(slot);
    }
    // After them, so that Linux counts the devices that the spec names from 0.
    tree.virtio(Arm64Platform.POWER_BUTTON);
    return tree.tree.end().toBytes();
  }

  private void chosen(String commandLine, @Nullable Initramfs initramfs, byte[] seed) {
    tree.begin("chosen").text("bootargs", commandLine);
    tree.text("stdout-path", "/" + name("serial", Arm64Platform.SERIAL_BASE));
    if (initramfs != null) {
      tree.cells64("linux,initrd-start", initramfs.start());
      tree.cells64("linux,initrd-end", initramfs.end());
    }
    tree.bytes("kaslr-seed", Arrays.copyOf(seed, KASLR_SEED_BYTES));
    tree.bytes("rng-seed", Arrays.copyOfRange(seed, KASLR_SEED_BYTES, SEED_BYTES));
    tree.end();
  }

  private void memory(long bytes) {
    tree.begin(name("memory", Arm64Platform.RAM_BASE))
        .text("device_type", "memory")
        .cells64("reg", Arm64Platform.RAM_BASE, bytes)
        .end();
  }

  private void processors(int vcpus) {
    tree.begin("cpus").cells("#address-cells", 1).cells("#size-cells", 0);
    for (int vcpu = 0; vcpu < vcpus; vcpu++) {
      int affinity = Arm64Platform.affinity(vcpu);
      tree.begin(name("cpu", affinity))
          .text("device_type", "cpu")
          .text("compatible", "arm,armv8")
          .text("enable-method", "psci")
          .cells("reg", affinity)
          .end();
    }
    tree.end();
  }

  /** Starts and stops processors, powers off and resets. KVM serves it, by HVC. */
  private void firmware() {
    tree.begin("psci")
        .text("compatible", "arm,psci-1.0", "arm,psci-0.2")
        .text("method", "hvc")
        .end();
  }

  private void interruptController(int vcpus) {
    tree.begin(name("interrupt-controller", Arm64Platform.DISTRIBUTOR_BASE))
        .text("compatible", "arm,gic-v3")
        .cells("#address-cells", 0)
        .cells("#interrupt-cells", 3)
        .flag("interrupt-controller")
        .cells64(
            "reg",
            Arm64Platform.DISTRIBUTOR_BASE,
            Arm64Platform.DISTRIBUTOR_BYTES,
            Arm64Platform.REDISTRIBUTORS_BASE,
            vcpus * Arm64Platform.REDISTRIBUTOR_BYTES)
        .cells("phandle", GIC_PHANDLE)
        .end();
  }

  private void timer() {
    tree.begin("timer")
        .text("compatible", "arm,armv8-timer")
        .cells(
            "interrupts",
            PRIVATE,
            SECURE_TIMER,
            LEVEL_HIGH,
            PRIVATE,
            PHYSICAL_TIMER,
            LEVEL_HIGH,
            PRIVATE,
            VIRTUAL_TIMER,
            LEVEL_HIGH,
            PRIVATE,
            HYPERVISOR_TIMER,
            LEVEL_HIGH)
        .flag("always-on")
        .end();
  }

  /** Primecells want a bus clock, even where nothing is clocked. */
  private void clocks() {
    tree.begin("bus-clock")
        .text("compatible", "fixed-clock")
        .cells("#clock-cells", 0)
        .cells("clock-frequency", BUS_HERTZ)
        .cells("phandle", CLOCK_PHANDLE)
        .end();
    tree.begin(name("rtc", Arm64Platform.CLOCK_BASE))
        .text("compatible", "arm,pl031", "arm,primecell")
        .cells64("reg", Arm64Platform.CLOCK_BASE, Arm64Platform.CLOCK_BYTES)
        .cells("clocks", CLOCK_PHANDLE)
        .text("clock-names", "apb_pclk")
        .end();
  }

  private void serial() {
    tree.begin(name("serial", Arm64Platform.SERIAL_BASE))
        .text("compatible", "ns16550a")
        .cells64("reg", Arm64Platform.SERIAL_BASE, Arm64Platform.SERIAL_BYTES)
        .cells("clock-frequency", SERIAL_HERTZ)
        .cells("interrupts", SHARED, Arm64Platform.SERIAL_GSI, EDGE_RISING)
        .end();
  }

  /**
   * The host's caches see what devices do: without {@code dma-coherent} Linux works around them.
   */
  private void virtio(DeviceSlot slot) {
    tree.begin(name("virtio_mmio", slot.base()))
        .text("compatible", "virtio,mmio")
        .cells64("reg", slot.base(), slot.size())
        .cells("interrupts", SHARED, slot.gsi(), EDGE_RISING)
        .flag("dma-coherent")
        .end();
  }

  private static String name(String node, long address) {
    return node + "@" + Long.toHexString(address);
  }
}

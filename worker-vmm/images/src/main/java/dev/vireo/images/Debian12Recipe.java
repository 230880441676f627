package dev.vireo.images;

import static dev.vireo.images.ImageException.Reason.HOST_UNSUPPORTED;
import static java.nio.charset.StandardCharsets.UTF_8;
import static java.util.stream.Collectors.joining;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.regex.Pattern;

/**
 * Debian 12's kernel for clouds as it is packaged, with an initramfs that has its virtio modules
 * and a small root disk with busybox, whose init reports the machine and does what {@code
 * vireo.run=} says (see {@code debian/init}).
 */
final class Debian12Recipe implements ImageRecipe {
  private static final String RELEASE = "bookworm";

  /** virtio-mmio devices, and the interface by which user space sees the power button. */
  private static final List<String> MODULES =
      List.of(
          "virtio_mmio",
          "virtio_blk",
          "virtio_net",
          "virtio_rng",
          "virtio_balloon",
          "virtio_mem",
          "virtio_console",
          "vmw_vsock_virtio_transport",
          "evdev");

  /** What an image's file system and what is written over it are made of; ext4 is built in. */
  private static final List<String> FILE_SYSTEMS = List.of("overlay", "squashfs", "erofs", "ext4");

  /** Debian 12 stays with this series for its life. */
  private static final String KERNEL_SERIES = "6.1.";

  // The machine has one serial port: the others are not worth an exit to probe for.
  private static final String COMMAND_LINE = "console=ttyS0 quiet panic=-1 8250.nr_uarts=1";

  // Nor is PCI, and the clock is KVM's and needs no check.
  private static final String X86_COMMAND_LINE =
      COMMAND_LINE + " pci=off tsc=reliable no_timer_check";

  private static final int MIN_MEMORY_MIB = 128;

  private final String name;
  private final GuestRoot root;
  private final Architecture architecture;
  private final Path cache;
  private final Commands commands;
  private final Progress progress;

  /**
   * @param cache Vireo's cache directory, where packages are kept
   */
  Debian12Recipe(
      String name,
      GuestRoot root,
      Architecture architecture,
      Path cache,
      Commands commands,
      Progress progress) {
    this.name = name;
    this.root = root;
    this.architecture = architecture;
    this.cache = cache;
    this.commands = commands;
    this.progress = progress;
  }

  @Override
  public String name() {
    return name;
  }

  @Override
  public String description() {
    String more = root.programs().stream().map(program -> ", " + program).collect(joining());
    return "Debian 12's cloud kernel, its virtio modules; busybox%s on an ext4 root disk"
        .formatted(more);
  }

  @Override
  public String fingerprint() throws IOException, ImageException {
    return root.addTo(new Fingerprint().add(resource("initramfs-init")))
        .add(String.join(" ", modules()))
        .add(String.join(" ", FILE_SYSTEMS))
        .add(WritableLayer.recipe())
        .add(commandLine())
        .add(Integer.toString(MIN_MEMORY_MIB))
        .hex();
  }

  @Override
  public void buildInto(Path directory) throws IOException, ImageException {
    DebianPackages packages = DebianPackages.of(cache, RELEASE, architecture, commands, progress);
    String metaPackage = "linux-image-cloud-" + architecture.debianName();
    DebianPackage kernel =
        packages.fetchDependency(
            metaPackage, Pattern.compile("linux-image-\\S+-cloud-" + architecture.debianName()));
    if (!kernel.version().startsWith(KERNEL_SERIES)) {
      throw new ImageException(
          HOST_UNSUPPORTED,
          "this host's apt offers %s, which is not Debian 12's; build the image on Debian 12 (a container will do)"
              .formatted(kernel));
    }
    DebianPackage busyboxPackage = packages.fetch("busybox-static");
    Path work = Files.createDirectory(directory.resolve("work"));
    byte[] busybox =
        GuestRoot.busybox(busyboxPackage, Files.createDirectory(work.resolve("busybox")), commands);
    GuestImage image = image(directory);
    putKernel(kernel, busybox, Files.createDirectory(work.resolve("kernel")), image);
    progress.step("making the root disk");
    root.make(
        busybox,
        "Debian 12 kernel",
        packages,
        Files.createDirectory(work.resolve("root")),
        image,
        commands);
    WritableLayer.make(image.writableDisk().orElseThrow(), commands);
    image.writeProperties("Built from %s and %s".formatted(kernel, busyboxPackage));
    FileTrees.delete(work);
  }

  private GuestImage image(Path directory) {
    return new GuestImage(
        name(),
        directory,
        architecture,
        GuestKind.LINUX,
        List.of(announcement()),
        MIN_MEMORY_MIB,
        directory.resolve("vmlinuz"),
        Optional.of(directory.resolve("initramfs")),
        Optional.of(directory.resolve("root.ext4")),
        Optional.of(directory.resolve("agent-initramfs")),
        Optional.of(directory.resolve("writable.ext4")),
        commandLine());
  }

  private String commandLine() {
    return switch (architecture) {
      case X86_64 -> X86_COMMAND_LINE;
      case ARM64 -> COMMAND_LINE;
    };
  }

  /** On x86-64 the power button is ACPI's, on arm64 a virtio keyboard. */
  private List<String> modules() {
    List<String> modules = new ArrayList<>(MODULES);
    modules.add(
        switch (architecture) {
          case X86_64 -> "button";
          case ARM64 -> "virtio_input";
        });
    return modules;
  }

  /** The kernel has no VIRTIO_MMIO_CMDLINE_DEVICES. */
  private DeviceAnnouncement announcement() {
    return switch (architecture) {
      case X86_64 -> DeviceAnnouncement.ACPI;
      case ARM64 -> DeviceAnnouncement.FDT;
    };
  }

  private void putKernel(DebianPackage kernel, byte[] busybox, Path unpacked, GuestImage image)
      throws IOException, ImageException {
    progress.step("unpacking " + kernel);
    kernel.unpack(unpacked, commands);
    String release = kernel.name().replaceFirst("linux-image-", "");
    Files.move(unpacked.resolve("boot/vmlinuz-" + release), image.kernel());
    Initramfs initramfs =
        new Initramfs()
            .file("init", 0755, resource("initramfs-init"))
            .file("sbin/init", 0755, GuestRoot.init())
            .file("bin/busybox", 0755, busybox)
            .file("modules", 0644, (String.join(" ", modules()) + "\n").getBytes(UTF_8))
            .characterDevice("dev/console", 5, 1);
    List.of("dev", "proc", "sys", "run", "tmp", "root").forEach(initramfs::directory);
    KernelModules modules = KernelModules.of(unpacked.resolve("lib/modules").resolve(release));
    modules.addTo(initramfs, modules());
    initramfs.writeTo(image.initramfs().orElseThrow());
    putAgentInitramfs(modules, image.agentInitramfs().orElseThrow());
  }

  private void putAgentInitramfs(KernelModules modules, Path file)
      throws IOException, ImageException {
    Initramfs initramfs = GuestAgent.initramfs(root.agent().program(architecture, commands));
    List<String> names = new ArrayList<>(modules());
    names.addAll(FILE_SYSTEMS);
    modules.addInLoadOrder(initramfs, names);
    initramfs.writeTo(file);
  }

  private static byte[] resource(String name) throws IOException {
    return Resources.read(Debian12Recipe.class, "debian/" + name);
  }
}

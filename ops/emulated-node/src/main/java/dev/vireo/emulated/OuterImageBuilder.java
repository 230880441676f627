package dev.vireo.emulated;

import static java.nio.charset.StandardCharsets.UTF_8;

import dev.vireo.images.Architecture;
import dev.vireo.images.CachedDirectory;
import dev.vireo.images.Commands;
import dev.vireo.images.DebianPackage;
import dev.vireo.images.DebianPackages;
import dev.vireo.images.Ext4;
import dev.vireo.images.FileTrees;
import dev.vireo.images.Fingerprint;
import dev.vireo.images.ImageException;
import dev.vireo.images.Initramfs;
import dev.vireo.images.KernelModules;
import dev.vireo.images.Progress;
import dev.vireo.images.Resources;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.List;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/** Builds the {@link OuterImage} from Debian packages and a Java runtime, once per recipe. */
final class OuterImageBuilder {
  /** Disks and network of the outer machine itself, what guests' back ends need, and tests. */
  private static final List<String> MODULES =
      List.of(
          "qemu_fw_cfg",
          "virtio_pci",
          "virtio_blk",
          "virtio_net",
          "loop",
          "tun",
          "vhost_net",
          "vhost_vsock",
          "nf_conntrack_netlink",
          "nft_ct",
          "nft_connlimit",
          "nft_nat",
          "nft_masq",
          "nft_chain_nat",
          "nft_reject_inet",
          "nft_fib_inet",
          "veth");

  private static final String RELEASE = "bookworm";
  private static final int ROOT_DISK_MIB = 2048;

  /** Counts changes of this class that change the image. */
  private static final int RECIPE = 8;

  private final Architecture architecture;
  private final Path cache;
  private final JavaRuntime runtime;
  private final Commands commands;
  private final Progress progress;

  /**
   * @param cache Vireo's cache directory
   */
  OuterImageBuilder(
      Architecture architecture,
      Path cache,
      JavaRuntime runtime,
      Commands commands,
      Progress progress) {
    this.architecture = architecture;
    this.cache = cache;
    this.runtime = runtime;
    this.commands = commands;
    this.progress = progress;
  }

  /** The image of this recipe: from the cache, or built now. */
  OuterImage build() throws IOException, ImageException {
    return OuterImage.in(
        CachedDirectory.obtain(
            cache.resolve("emulated-node"),
            "outer-" + architecture.label(),
            fingerprint(),
            this::buildInto),
        architecture);
  }

  private String fingerprint() throws IOException {
    return new Fingerprint()
        .add(resource("initramfs-init"))
        .add(resource("root-init"))
        .add(String.join(" ", modules()))
        .add(runtime.fingerprint())
        .add("%d %d".formatted(RECIPE, ROOT_DISK_MIB))
        .hex();
  }

  private void buildInto(Path directory) throws IOException, ImageException {
    Path work = Files.createDirectory(directory.resolve("work"));
    OuterImage image = OuterImage.in(directory, architecture);
    DebianPackages packages = DebianPackages.of(cache, RELEASE, architecture, commands, progress);
    String cloud = "cloud-" + architecture.debianName();
    DebianPackage kernel =
        packages.fetchDependency(
            "linux-image-" + cloud, Pattern.compile("linux-image-\\S+-" + cloud));
    byte[] busybox = busybox(packages, work);
    putKernel(kernel, busybox, work, image);
    putRoot(packages, busybox, work, image);
    FileTrees.delete(work);
  }

  /** On arm64 KVM is built in. */
  private List<String> modules() {
    return switch (architecture) {
      case X86_64 -> Stream.concat(MODULES.stream(), Stream.of("kvm_amd")).toList();
      case ARM64 -> MODULES;
    };
  }

  private byte[] busybox(DebianPackages packages, Path work) throws IOException, ImageException {
    Path unpacked = Files.createDirectory(work.resolve("busybox"));
    packages.fetch("busybox-static").unpack(unpacked, commands);
    return Files.readAllBytes(unpacked.resolve("bin/busybox"));
  }

  private void putKernel(DebianPackage kernel, byte[] busybox, Path work, OuterImage image)
      throws IOException, ImageException {
    progress.step("unpacking " + kernel);
    Path unpacked = Files.createDirectory(work.resolve("kernel"));
    kernel.unpack(unpacked, commands);
    String release = kernel.name().replaceFirst("linux-image-", "");
    Files.move(unpacked.resolve("boot/vmlinuz-" + release), image.kernel());
    KernelModules modules = KernelModules.of(unpacked.resolve("lib/modules").resolve(release));
    Initramfs initramfs =
        new Initramfs()
            .file("init", 0755, resource("initramfs-init"))
            .file("bin/busybox", 0755, busybox)
            .characterDevice("dev/console", 5, 1)
            .file("modules", 0644, String.join(" ", modules()).getBytes(UTF_8));
    modules.addTo(initramfs, modules());
    try (OutputStream out = Files.newOutputStream(image.initramfs())) {
      initramfs.writeTo(out);
    }
  }

  private void putRoot(DebianPackages packages, byte[] busybox, Path work, OuterImage image)
      throws IOException, ImageException {
    Path root = Files.createDirectory(work.resolve("root"));
    for (String directory :
        List.of(
            "bin", "sbin", "dev", "proc", "sys", "tmp", "run", "root", "var/tmp", "var/lib", "job",
            "etc", "usr/bin")) {
      Files.createDirectories(root.resolve(directory));
    }
    putBusybox(busybox, root);
    Files.write(root.resolve("sbin/init"), resource("root-init"));
    makeExecutable(root.resolve("sbin/init"));
    Files.writeString(root.resolve("etc/hosts"), "127.0.0.1 localhost vireo-emulated\n");
    Files.writeString(root.resolve("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\n");
    Files.writeString(root.resolve("etc/group"), "root:x:0:\n");
    addPrograms(root, packages);
    runtime.make(image.javaRuntime(), root);
    FileTrees.copy(image.javaRuntime(), root.resolve("java"));
    Files.createSymbolicLink(root.resolve("usr/bin/java"), Path.of("/java/bin/java"));
    progress.step("making the outer machine's root disk");
    // Its journal would protect nothing: what is written goes to a snapshot that ends with QEMU.
    Ext4.make(root, image.rootDisk(), ROOT_DISK_MIB, "outer", commands, "-O", "^has_journal");
  }

  private void addPrograms(Path root, DebianPackages packages) throws IOException, ImageException {
    for (DebianProgram program :
        List.of(DebianProgram.NFT, DebianProgram.TAR2SQFS, DebianProgram.SETPRIV)) {
      Path work = root.resolveSibling(String.valueOf(program.path().getFileName()));
      program.addTo(root, packages, architecture, work, commands);
    }
  }

  private static void putBusybox(byte[] content, Path root) throws IOException {
    Path busybox = root.resolve("bin/busybox");
    Files.write(busybox, content);
    makeExecutable(busybox);
  }

  private static void makeExecutable(Path file) throws IOException {
    Files.setPosixFilePermissions(file, PosixFilePermissions.fromString("rwxr-xr-x"));
  }

  private static byte[] resource(String name) throws IOException {
    return Resources.read(OuterImageBuilder.class, name);
  }
}

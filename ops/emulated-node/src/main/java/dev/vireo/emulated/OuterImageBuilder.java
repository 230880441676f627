package dev.vireo.emulated;

import static dev.vireo.images.ImageException.Reason.HOST_UNSUPPORTED;
import static java.nio.charset.StandardCharsets.UTF_8;

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
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/**
 * Builds the {@link OuterImage} from Debian packages and the JDK that runs this, once per recipe.
 */
final class OuterImageBuilder {
  /** KVM, disks and network of the outer machine itself, and what back ends of guests need. */
  private static final List<String> MODULES =
      List.of(
          "qemu_fw_cfg",
          "virtio_pci",
          "virtio_blk",
          "virtio_net",
          "kvm_amd",
          "tun",
          "vhost_net",
          "vhost_vsock");

  /** What the worker and the VMM use of the JDK; jdk.unsupported is for jnr-ffi and Netty. */
  private static final List<String> JAVA_MODULES =
      List.of(
          "java.base",
          "java.logging",
          "java.management",
          "java.naming",
          "java.xml",
          "jdk.unsupported");

  private static final Pattern KERNEL_PACKAGE = Pattern.compile("linux-image-\\S+-cloud-amd64");
  private static final Pattern LIBRARY = Pattern.compile("(?:=> |^\\s*)(/\\S+) \\(0x");
  private static final int ROOT_DISK_MIB = 768;

  /** Counts changes of this class that change the image. */
  private static final int RECIPE = 3;

  private final Path cache;
  private final Path javaHome;
  private final Commands commands;
  private final DebianPackages packages;
  private final Progress progress;

  /**
   * @param cache Vireo's cache directory
   * @param javaHome of a JDK; its runtime goes into the image
   */
  OuterImageBuilder(Path cache, Path javaHome, Commands commands, Progress progress) {
    this.cache = cache;
    this.javaHome = javaHome;
    this.commands = commands;
    this.packages = new DebianPackages(cache.resolve("packages"), commands, progress);
    this.progress = progress;
  }

  /** The image of this recipe: from the cache, or built now. */
  OuterImage build() throws IOException, ImageException {
    return OuterImage.in(
        CachedDirectory.obtain(
            cache.resolve("emulated-node"), "outer", fingerprint(), this::buildInto));
  }

  private String fingerprint() throws IOException {
    return new Fingerprint()
        .add(resource("initramfs-init"))
        .add(resource("root-init"))
        .add(String.join(" ", MODULES))
        .add(String.join(" ", JAVA_MODULES))
        .add(Files.readAllBytes(javaHome.resolve("release")))
        .add("%d %d".formatted(RECIPE, ROOT_DISK_MIB))
        .hex();
  }

  private void buildInto(Path directory) throws IOException, ImageException {
    Path work = Files.createDirectory(directory.resolve("work"));
    OuterImage image = OuterImage.in(directory);
    DebianPackage kernel = packages.fetchDependency("linux-image-cloud-amd64", KERNEL_PACKAGE);
    byte[] busybox = busybox(work);
    putKernel(kernel, busybox, work, image);
    putRoot(busybox, work, image);
    FileTrees.delete(work);
  }

  private byte[] busybox(Path work) throws IOException, ImageException {
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
            .file("modules", 0644, String.join(" ", MODULES).getBytes(UTF_8));
    modules.addTo(initramfs, MODULES);
    try (OutputStream out = Files.newOutputStream(image.initramfs())) {
      initramfs.writeTo(out);
    }
  }

  private void putRoot(byte[] busybox, Path work, OuterImage image)
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
    putJavaRuntime(root, image.javaRuntime());
    progress.step("making the outer machine's root disk");
    // Its journal would protect nothing: what is written goes to a snapshot that ends with QEMU.
    Ext4.make(root, image.rootDisk(), ROOT_DISK_MIB, "outer", commands, "-O", "^has_journal");
  }

  private void putBusybox(byte[] content, Path root) throws IOException, ImageException {
    Path busybox = root.resolve("bin/busybox");
    Files.write(busybox, content);
    makeExecutable(busybox);
    String applets = commands.runOrThrow(root, List.of(busybox.toString(), "--list"));
    for (String applet : applets.lines().toList()) {
      Path link = root.resolve("bin").resolve(applet);
      if (!Files.exists(link)) {
        Files.createSymbolicLink(link, Path.of("busybox"));
      }
    }
  }

  private void putJavaRuntime(Path root, Path runtime) throws IOException, ImageException {
    Path jlink = javaHome.resolve("bin/jlink");
    if (!Files.isExecutable(jlink)) {
      throw new ImageException(
          HOST_UNSUPPORTED, javaHome + " is no whole JDK: it has no jlink. Install a JDK 25.");
    }
    progress.step("linking a Java runtime for the outer machine");
    commands.runOrThrow(
        root,
        List.of(
            jlink.toString(),
            "--add-modules",
            String.join(",", JAVA_MODULES),
            "--strip-debug",
            "--no-header-files",
            "--no-man-pages",
            "--output",
            runtime.toString()));
    // Class data sharing, which jlink leaves out: a third off each start.
    commands.runOrThrow(
        root, List.of(runtime.resolve("bin/java").toString(), "-Xshare:dump", "-XX:+UseSerialGC"));
    FileTrees.copy(runtime, root.resolve("java"));
    for (String library : librariesOf(runtime)) {
      FileTrees.copyFile(Path.of(library), root.resolve(Path.of("/").relativize(Path.of(library))));
    }
    Files.createSymbolicLink(root.resolve("usr/bin/java"), Path.of("/java/bin/java"));
  }

  /** The host's shared libraries (glibc, in the main) that a Java runtime is linked with. */
  private Set<String> librariesOf(Path runtime) throws IOException, ImageException {
    List<String> command = new ArrayList<>(List.of("ldd", runtime.resolve("bin/java").toString()));
    try (Stream<Path> files = Files.walk(runtime.resolve("lib"))) {
      files.map(Path::toString).filter(file -> file.endsWith(".so")).forEach(command::add);
    }
    Set<String> libraries = new TreeSet<>();
    for (String line : commands.runOrThrow(runtime, command).lines().toList()) {
      Matcher matcher = LIBRARY.matcher(line);
      if (matcher.find() && !matcher.group(1).startsWith(runtime.toString())) {
        libraries.add(matcher.group(1));
      }
    }
    return libraries;
  }

  private static void makeExecutable(Path file) throws IOException {
    Files.setPosixFilePermissions(
        file, java.nio.file.attribute.PosixFilePermissions.fromString("rwxr-xr-x"));
  }

  private static byte[] resource(String name) throws IOException {
    return Resources.read(OuterImageBuilder.class, name);
  }
}

package dev.vireo.images;

import static dev.vireo.images.ImageException.Reason.INPUT_MISSING;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * The root disk of Vireo's Linux images: busybox, an init that reports the machine and does what
 * {@code vireo.run=} says (see {@code debian/init}), and the guest's agent; for some images,
 * programs of Debian's besides.
 *
 * @param agent which the init can start
 * @param programs Debian packages that are put on it, with the libraries they need
 * @param streams {@code streams.c} of {@code ops/guest/streams}, which is compiled for it
 */
record GuestRoot(GuestAgent agent, List<String> programs, Optional<Path> streams, int diskMib) {
  GuestRoot {
    programs = List.copyOf(programs);
  }

  /** With busybox and the agent alone. */
  static GuestRoot minimal(Path sourceTree) {
    return new GuestRoot(GuestAgent.of(sourceTree), List.of(), Optional.empty(), 16);
  }

  /** With what puts disks, networks and vsock under load. */
  static GuestRoot withTools(Path sourceTree) {
    return new GuestRoot(
        GuestAgent.of(sourceTree),
        List.of("fio", "iperf3", "socat"),
        Optional.of(sourceTree.resolve("ops/guest/streams/streams.c")),
        144);
  }

  /** The init, also for an initramfs. */
  static byte[] init() throws IOException {
    return Resources.read(GuestRoot.class, "debian/init");
  }

  /** Adds all that the disk depends on but for the versions of packages. */
  Fingerprint addTo(Fingerprint fingerprint) throws IOException, ImageException {
    agent
        .addTo(fingerprint)
        .add(init())
        .add(String.join(" ", programs))
        .add(Integer.toString(diskMib));
    if (streams.isPresent()) {
      fingerprint.add(source(streams.get()));
    }
    return fingerprint;
  }

  private static byte[] source(Path file) throws ImageException {
    try {
      return Files.readAllBytes(file);
    } catch (IOException e) {
      throw new ImageException(INPUT_MISSING, "cannot read %s: %s".formatted(file, e), e);
    }
  }

  /** The one program of a package that is linked statically. */
  static byte[] busybox(DebianPackage busybox, Path unpacked, Commands commands)
      throws IOException, ImageException {
    busybox.unpack(unpacked, commands);
    return Files.readAllBytes(unpacked.resolve("bin/busybox"));
  }

  /**
   * Makes the disk's file, as the root disk of an image.
   *
   * @param work an empty directory to make it in
   * @param kernel for people
   */
  void make(
      byte[] busybox,
      String kernel,
      DebianPackages packages,
      Path work,
      GuestImage image,
      Commands commands)
      throws IOException, ImageException {
    for (String directory :
        List.of("bin", "sbin", "etc", "dev", "proc", "sys", "run", "tmp", "var/lib")) {
      Files.createDirectories(work.resolve(directory));
    }
    if (!programs.isEmpty()) {
      for (DebianPackage program : packages.fetchWithLibraries(programs)) {
        program.unpack(work, commands);
      }
      FileTrees.delete(work.resolve("usr/share"));
    }
    if (streams.isPresent()) {
      compile(streams.get(), image.architecture(), work.resolve("bin/streams"), commands);
    }
    putExecutable(work.resolve("bin/busybox"), busybox);
    putExecutable(work.resolve("sbin/init"), init());
    putExecutable(work.resolve("sbin/vireo-agent"), agent.program(image.architecture(), commands));
    Files.writeString(
        work.resolve("etc/os-release"),
        "PRETTY_NAME=\"Vireo guest: %s, busybox\"\nID=vireo-guest\n".formatted(kernel));
    Ext4.make(work, image.rootDisk().orElseThrow(), diskMib, image.name(), commands);
  }

  /** Statically, so that it also runs where the disk is not the root. */
  private static void compile(
      Path source, Architecture architecture, Path program, Commands commands)
      throws ImageException {
    List<String> command = new ArrayList<>(List.of(architecture.gnuPrefix() + "gcc"));
    command.addAll(List.of("-std=c17", "-D_GNU_SOURCE", "-O2", "-Wall", "-Wextra", "-static"));
    command.addAll(List.of("-o", program.toString(), source.toString()));
    var _ = commands.runOrThrow(Path.of("/"), command);
  }

  private static void putExecutable(Path file, byte[] content) throws IOException {
    Files.write(file, content);
    Files.setPosixFilePermissions(file, PosixFilePermissions.fromString("rwxr-xr-x"));
  }
}

package dev.vireo.oci;

import static dev.vireo.images.ImageException.Reason.PACKAGE_INVALID;
import static java.nio.charset.StandardCharsets.UTF_8;

import dev.vireo.images.Architecture;
import dev.vireo.images.Commands;
import dev.vireo.images.DebianPackage;
import dev.vireo.images.ImageException;
import dev.vireo.images.Resources;
import dev.vireo.images.container.ImageName;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.attribute.FileTime;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.apache.commons.compress.archivers.tar.TarArchiveEntry;
import org.apache.commons.compress.archivers.tar.TarArchiveInputStream;
import org.apache.commons.compress.archivers.tar.TarArchiveOutputStream;
import org.apache.commons.compress.archivers.tar.TarConstants;
import org.jspecify.annotations.Nullable;

/**
 * Vireo's own image: Debian's {@code busybox-static}, with a link for each of its programs and what
 * else a root has to have. Made here, as an image of one layer; no registry is asked.
 */
final class BusyboxSource implements ImageSource {
  private static final String PROGRAM = "bin/busybox";
  private static final String APPLETS = "busybox-applets";

  private static final List<String> DIRECTORIES =
      List.of(
          "bin/",
          "dev/",
          "etc/",
          "home/",
          "proc/",
          "run/",
          "sbin/",
          "sys/",
          "usr/",
          "usr/bin/",
          "usr/sbin/",
          "var/",
          "var/log/");

  private static final Map<String, String> FILES =
      Map.of(
          "etc/group", "root:x:0:\nnogroup:x:65534:\n",
          "etc/hosts", "127.0.0.1\tlocalhost\n::1\tlocalhost\n",
          "etc/passwd",
              """
              root:x:0:0:root:/root:/bin/sh
              nobody:x:65534:65534:nobody:/nonexistent:/bin/false
              """);

  /** Has Debian's package, whose program is statically linked. */
  @FunctionalInterface
  interface PackageSource {
    DebianPackage fetch(Architecture architecture) throws ImageException;
  }

  private final PackageSource packages;

  BusyboxSource(PackageSource packages) {
    this.packages = packages;
  }

  @Override
  public SourceImage resolve(Architecture architecture) throws IOException, ImageException {
    byte[] layer = layer(program(packages.fetch(architecture)));
    String diffId = Descriptor.of(layer).digest();
    byte[] config =
        Json.write(
                Map.of(
                    "architecture",
                    architecture.debianName(),
                    "os",
                    "linux",
                    "config",
                    Map.of(
                        "Cmd",
                        List.of("sh"),
                        "Env",
                        List.of(
                            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")),
                    "rootfs",
                    Map.of("type", "layers", "diff_ids", List.of(diffId))))
            .getBytes(UTF_8);
    return new SourceImage(
        ImageConfig.parse(config, architecture),
        List.of(new Layer(Optional.empty(), diffId, () -> new ByteArrayInputStream(layer))),
        Optional.of(new ImageName.BuiltIn()));
  }

  /** Read from the package as it is; nothing is unpacked. */
  private static byte[] program(DebianPackage busybox) throws IOException, ImageException {
    Process process =
        new ProcessBuilder(
                Commands.locate("dpkg-deb").toString(), "--fsys-tarfile", busybox.file().toString())
            .redirectError(ProcessBuilder.Redirect.DISCARD)
            .start();
    try (InputStream output = process.getInputStream();
        TarArchiveInputStream tar = new TarArchiveInputStream(output)) {
      @Nullable TarArchiveEntry entry = tar.getNextEntry();
      while (entry != null) {
        if (entry.getName().equals("./" + PROGRAM)) {
          return tar.readAllBytes();
        }
        entry = tar.getNextEntry();
      }
      throw new ImageException(PACKAGE_INVALID, "%s has no %s".formatted(busybox, PROGRAM));
    } finally {
      process.destroyForcibly();
    }
  }

  /** Equal programs make equal bytes. */
  private static byte[] layer(byte[] program) throws IOException {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    try (TarArchiveOutputStream tar = new TarArchiveOutputStream(bytes)) {
      for (String directory : DIRECTORIES) {
        put(tar, new TarArchiveEntry(directory, TarConstants.LF_DIR), 0755, new byte[0]);
      }
      put(tar, new TarArchiveEntry("root/", TarConstants.LF_DIR), 0700, new byte[0]);
      put(tar, new TarArchiveEntry("tmp/", TarConstants.LF_DIR), 01777, new byte[0]);
      put(tar, new TarArchiveEntry(PROGRAM), 0755, program);
      for (String applet : applets()) {
        TarArchiveEntry link = new TarArchiveEntry(applet, TarConstants.LF_SYMLINK);
        link.setLinkName("/" + PROGRAM);
        put(tar, link, 0777, new byte[0]);
      }
      for (String file : FILES.keySet().stream().sorted().toList()) {
        put(tar, new TarArchiveEntry(file), 0644, FILES.getOrDefault(file, "").getBytes(UTF_8));
      }
    }
    return bytes.toByteArray();
  }

  /**
   * What Debian 12's busybox prints for --list-full, but itself; another machine's cannot be asked.
   */
  private static List<String> applets() throws IOException {
    return new String(Resources.read(BusyboxSource.class, APPLETS), UTF_8).lines().toList();
  }

  private static void put(
      TarArchiveOutputStream tar, TarArchiveEntry entry, int mode, byte[] content)
      throws IOException {
    entry.setMode(mode);
    entry.setSize(content.length);
    entry.setLastModifiedTime(FileTime.fromMillis(0));
    tar.putArchiveEntry(entry);
    tar.write(content);
    tar.closeArchiveEntry();
  }
}

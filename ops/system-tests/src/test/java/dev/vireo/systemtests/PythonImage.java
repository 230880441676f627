package dev.vireo.systemtests;

import dev.vireo.bench.cluster.DebianPackageFiles;
import dev.vireo.bench.cluster.HostCommand;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.DigestInputStream;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.List;

/**
 * A container image as its user would bring it: a {@code docker save} archive of Debian's python3
 * with a program. Made of the host's Debian packages.
 */
final class PythonImage {
  /** In the cache of this machine, and so on the nodes of the linux tier. */
  static final String NAME = "vireo-tests/python";

  static final int PORT = 8000;

  /** Reads its input, keeps it, serves it once in capitals, and ends with 7. */
  private static final String PROGRAM =
      """
      import http.server, os, sys

      text = sys.stdin.read()
      with open("data/input", "w") as kept:
          kept.write(text)
      print(os.environ["GREETING"], "from", os.getcwd(), "as", os.getuid(), flush=True)

      class Capitals(http.server.BaseHTTPRequestHandler):
          def do_GET(self):
              body = text.upper().encode()
              self.send_response(200)
              self.send_header("Content-Length", str(len(body)))
              self.end_headers()
              self.wfile.write(body)

          def log_message(self, *ignored):
              pass

      server = http.server.HTTPServer(("127.0.0.1", 8000), Capitals)
      print("listening", flush=True)
      server.handle_request()
      sys.exit(7)
      """;

  private static final List<String> PACKAGES = List.of("python3", "dash", "coreutils");

  private PythonImage() {}

  /**
   * Brings it into this machine's cache, of which a node has what is there when it starts. Made of
   * the same packages it is the same.
   *
   * @param sourceTree as built
   * @param cache Vireo's
   * @param scratch a directory of the caller's
   */
  static void pull(Path sourceTree, Path cache, Path scratch) throws IOException {
    Path work = Files.createTempDirectory(scratch, "python");
    var _ =
        HostCommand.run(
            work,
            Path.of(System.getProperty("java.home"), "bin/java").toString(),
            "-cp",
            sourceTree.resolve("worker-vmm/oci/target/oci/lib") + "/*",
            "dev.vireo.oci.Main",
            "pull",
            "docker-archive:" + archive(cache.resolve("packages"), work),
            "--arch",
            "x86_64",
            "--progress",
            "none");
    var _ = HostCommand.run(scratch, "rm", "-rf", work.toString());
  }

  private static Path archive(Path packages, Path work) throws IOException {
    Path root = Files.createDirectory(work.resolve("root"));
    // Debian's merged /usr, which no package makes.
    for (String directory : List.of("bin", "sbin", "lib", "lib64")) {
      Files.createDirectories(root.resolve("usr").resolve(directory));
      Files.createSymbolicLink(root.resolve(directory), Path.of("usr", directory));
    }
    for (Path file : DebianPackageFiles.download(PACKAGES, packages)) {
      var _ =
          HostCommand.run(
              work,
              "sh",
              "-c",
              "dpkg-deb --fsys-tarfile %s | tar -x --keep-directory-symlink -C root"
                  .formatted(file));
    }
    for (String waste : List.of("usr/share/doc", "usr/share/man", "usr/share/locale")) {
      var _ = HostCommand.run(work, "rm", "-rf", root.resolve(waste).toString());
    }
    Files.createDirectories(root.resolve("app/data"));
    Files.writeString(root.resolve("app/main.py"), PROGRAM);
    var _ = HostCommand.run(work, "chown", "1000:1000", root.resolve("app/data").toString());
    var _ =
        HostCommand.run(
            work,
            "tar",
            "-C",
            "root",
            "--sort=name",
            "--mtime=@0",
            "--numeric-owner",
            "-cf",
            "layer.tar",
            ".");
    Files.writeString(work.resolve("config.json"), config(sha256(work.resolve("layer.tar"))));
    Files.writeString(
        work.resolve("manifest.json"),
        """
        [{"Config": "config.json", "RepoTags": ["%s:latest"], "Layers": ["layer.tar"]}]
        """
            .formatted(NAME));
    var _ =
        HostCommand.run(
            work, "tar", "-cf", "python.tar", "manifest.json", "config.json", "layer.tar");
    return work.resolve("python.tar");
  }

  private static String config(String layer) {
    return """
    {
      "architecture": "amd64", "os": "linux",
      "config": {
        "Entrypoint": ["python3", "main.py"], "WorkingDir": "/app", "User": "1000",
        "Env": ["PATH=/usr/bin:/bin", "GREETING=hello"]
      },
      "rootfs": {"type": "layers", "diff_ids": ["sha256:%s"]}
    }
    """
        .formatted(layer);
  }

  private static String sha256(Path file) throws IOException {
    try (InputStream in = Files.newInputStream(file)) {
      MessageDigest digest = MessageDigest.getInstance("SHA-256");
      var _ = new DigestInputStream(in, digest).transferTo(java.io.OutputStream.nullOutputStream());
      return HexFormat.of().formatHex(digest.digest());
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException("every JDK has it", e);
    }
  }
}

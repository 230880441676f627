package dev.vireo.bench.sandbox;

import dev.vireo.bench.cluster.EmulatedNode;
import dev.vireo.bench.cluster.HostCommand;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.file.Path;

/** The node on which Linux guests are measured: this machine, or an emulated one. */
interface LinuxHost {
  /** For the report's conditions. */
  String title();

  /** Runs a shell command there, as root; what it prints. */
  String shell(String command) throws IOException;

  /** Has a file of this machine be one of the node. */
  Path bring(Path file) throws IOException;

  /** Where the node has its guest images. */
  Path images();

  /** Of the machine that this runs on, with its own KVM. */
  record Native(Path images) implements LinuxHost {
    @Override
    public String title() {
      return "this machine's KVM";
    }

    @Override
    public String shell(String command) throws IOException {
      return HostCommand.run(Path.of("/"), "sh", "-c", command);
    }

    @Override
    public Path bring(Path file) {
      return file;
    }
  }

  /** Beside this machine's own worker, which has no guests that Linux could be. */
  record Emulated(EmulatedNode node) implements LinuxHost {
    private static final String DIRECTORY = "/var/lib/vireo-bench";

    @Override
    public String title() {
      return "an emulated node (QEMU without KVM): only ratios within it mean anything";
    }

    @Override
    public String shell(String command) throws IOException {
      return node.shell(command);
    }

    /** Fetched by the node, whose way to this machine's loopback is 10.0.2.2. */
    @Override
    public Path bring(Path file) throws IOException {
      var server =
          com.sun.net.httpserver.SimpleFileServer.createFileServer(
              new InetSocketAddress(InetAddress.getLoopbackAddress(), 0),
              file.toAbsolutePath().getParent(),
              com.sun.net.httpserver.SimpleFileServer.OutputLevel.NONE);
      server.start();
      try {
        Path there = Path.of(DIRECTORY).resolve(file.getFileName());
        node.shell(
            "mkdir -p %s && wget -q -O %s http://10.0.2.2:%d/%s && sync"
                .formatted(DIRECTORY, there, server.getAddress().getPort(), file.getFileName()));
        return there;
      } finally {
        server.stop(0);
      }
    }

    @Override
    public Path images() {
      return Path.of("/job/cache/images");
    }
  }
}

package dev.vireo.systemtests;

import dev.vireo.bench.cluster.LocalCluster;
import dev.vireo.cli.Environment;
import dev.vireo.cli.Main;
import dev.vireo.cli.Terminal;
import io.grpc.netty.NettyChannelBuilder;
import java.io.ByteArrayOutputStream;
import java.io.InputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.time.Clock;
import java.util.Map;

/** The command line as it talks to a cluster, but without a JVM of its own for each command. */
final class Vireo {
  private final LocalCluster cluster;

  Vireo(LocalCluster cluster) {
    this.cluster = cluster;
  }

  /** What a command printed, and how it ended. */
  record Result(int exitCode, String out, String err) {}

  Result run(String... arguments) {
    return runWith(InputStream.nullInputStream(), arguments);
  }

  /** As {@link #run}, with something to read. */
  Result runWith(InputStream in, String... arguments) {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    ByteArrayOutputStream err = new ByteArrayOutputStream();
    int exitCode =
        Main.run(
            new Environment(
                new PrintStream(out, true, StandardCharsets.UTF_8),
                new PrintStream(err, true, StandardCharsets.UTF_8),
                false,
                false,
                Clock.systemUTC(),
                Map.of("VIREO_SERVER", cluster.address()),
                _ -> NettyChannelBuilder.forTarget(cluster.address()).usePlaintext().build(),
                in,
                Terminal.NONE),
            arguments);
    return new Result(
        exitCode, out.toString(StandardCharsets.UTF_8), err.toString(StandardCharsets.UTF_8));
  }
}

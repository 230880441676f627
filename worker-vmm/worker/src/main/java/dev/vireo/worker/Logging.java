package dev.vireo.worker;

import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.logging.LogManager;

/** The worker's log: a line each on stderr, time, level, who, what. */
final class Logging {
  private static final String CONFIGURATION =
      """
      handlers=java.util.logging.ConsoleHandler
      java.util.logging.ConsoleHandler.formatter=java.util.logging.SimpleFormatter
      java.util.logging.SimpleFormatter.format=%1$tFT%1$tT.%1$tL %4$-7s %3$s: %5$s%6$s%n
      .level=INFO
      io.grpc.level=WARNING
      # gRPC asks for an option of TCP's where the controller is behind a unix socket, too.
      io.netty.bootstrap.Bootstrap.level=SEVERE
      """;

  private Logging() {}

  static void configure() {
    try {
      LogManager.getLogManager()
          .readConfiguration(
              new ByteArrayInputStream(CONFIGURATION.getBytes(StandardCharsets.UTF_8)));
    } catch (IOException e) {
      throw new IllegalStateException(e);
    }
  }
}

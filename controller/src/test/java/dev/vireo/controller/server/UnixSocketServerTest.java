package dev.vireo.controller.server;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

final class UnixSocketServerTest {
  @TempDir private Path directory;

  private Path path() {
    return directory.resolve("controller.sock");
  }

  private UnixSocketServer start() {
    return UnixSocketServer.start(path(), List.of(), List.of());
  }

  @Test
  void itAnswersAndLeavesNothingBehind() throws IOException {
    try (UnixSocketServer _ = start()) {
      connect().close();
    }
    assertFalse(Files.exists(path()));
  }

  @Test
  void whatADeadOneLeftIsReplaced() throws IOException {
    bindAndDie();
    assertTrue(Files.exists(path()));

    try (UnixSocketServer _ = start()) {
      connect().close();
    }
  }

  @Test
  void aLiveOneIsLeftAlone() throws IOException {
    try (UnixSocketServer _ = start()) {
      StartupException refused = assertThrows(StartupException.class, this::start);
      assertTrue(String.valueOf(refused.getMessage()).contains("another process"));
      connect().close();
    }
  }

  @Test
  void whatIsNoSocketIsLeftAlone() throws IOException {
    Files.writeString(path(), "precious");

    assertThrows(StartupException.class, this::start);
    assertEquals("precious", Files.readString(path()));
  }

  private SocketChannel connect() throws IOException {
    return SocketChannel.open(UnixDomainSocketAddress.of(path()));
  }

  /** Closing a channel leaves its file, as a kill does. */
  private void bindAndDie() throws IOException {
    try (ServerSocketChannel channel = ServerSocketChannel.open(StandardProtocolFamily.UNIX)) {
      channel.bind(UnixDomainSocketAddress.of(path()));
    }
  }
}

package dev.vireo.cli;

import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.vireo.proto.v1.MicroVm;
import dev.vireo.proto.v1.ResourceMeta;
import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Connections to this machine's ports that end in a guest. */
final class PortForwardCommandTest {
  private final FakeController controller = new FakeController();
  private final Cli cli = new Cli(controller);
  private final List<Thread> commands = new ArrayList<>();

  @BeforeEach
  void create() {
    controller.put(
        MicroVm.newBuilder()
            .setMeta(ResourceMeta.newBuilder().setName("projects/default/microvms/web-1"))
            .build());
  }

  @AfterEach
  void close() throws InterruptedException {
    for (Thread command : commands) {
      command.interrupt();
      command.join();
    }
    controller.close();
  }

  /** Begins to forward, and returns the ports here. */
  private List<Integer> forward(String... ports) {
    List<String> line = new ArrayList<>(List.of("port-forward", "web-1"));
    line.addAll(List.of(ports));
    commands.add(Thread.ofVirtual().start(() -> cli.run(line.toArray(String[]::new))));
    await().until(() -> cli.out().lines().count() == ports.length);
    List<Integer> here = new ArrayList<>();
    Matcher told = Pattern.compile("127\\.0\\.0\\.1:([0-9]+) -> web-1:").matcher(cli.out());
    while (told.find()) {
      here.add(Integer.parseInt(told.group(1)));
    }
    return here;
  }

  private static Socket connect(int port) throws IOException {
    return new Socket(InetAddress.getLoopbackAddress(), port);
  }

  @Test
  void connectionsAreCarriedToTheGuestAndBack() throws IOException {
    List<Integer> ports = forward("0:80", "0:81");
    assertEquals(2, ports.size());
    List<Socket> open = new ArrayList<>();
    for (int i = 0; i < 10; i++) {
      open.add(connect(ports.get(i % 2)));
    }
    for (Socket socket : open) {
      try (socket) {
        byte[] bytes = new byte[200_000];
        new Random(socket.getLocalPort()).nextBytes(bytes);
        Thread.ofVirtual().start(() -> send(socket, bytes));
        assertArrayEquals(bytes, socket.getInputStream().readAllBytes());
      }
    }
  }

  private static void send(Socket socket, byte[] bytes) {
    try {
      socket.getOutputStream().write(bytes);
      socket.shutdownOutput();
    } catch (IOException e) {
      throw new AssertionError(e);
    }
  }

  @Test
  void aConnectionThatFailsIsToldAndTheOthersGoOn() throws IOException {
    List<Integer> ports = forward("0:" + FakeGuest.DEAF_PORT, "0:80");
    try (Socket refused = connect(ports.getFirst())) {
      assertEquals(-1, refused.getInputStream().read());
    }
    await().until(() -> cli.err().equals("vireo: port 1: Connection refused\n"));
    try (Socket socket = connect(ports.getLast())) {
      send(socket, "hello".getBytes(StandardCharsets.US_ASCII));
      assertEquals(5, socket.getInputStream().readAllBytes().length);
    }
  }

  @Test
  void whatDoesNotExistIsRefusedAtOnce() {
    assertEquals(ExitCode.NOT_FOUND, cli.run("port-forward", "web-2", "80"));
  }

  @Test
  void aPortThatIsTakenIsNamed() throws IOException {
    try (ServerSocket taken = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
      int port = taken.getLocalPort();
      assertEquals(ExitCode.FAILED, cli.run("port-forward", "web-1", port + ":80"));
      assertTrue(cli.err().contains("cannot listen on 127.0.0.1:" + port), cli.err());
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"0", "65536", "x", "1:2:3", ":80", "80:", "80:0", "-1"})
  void whatIsNoPortIsRefused(String ports) {
    assertEquals(ExitCode.USAGE, cli.run("port-forward", "web-1", ports));
  }
}

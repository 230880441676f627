package dev.vireo.linux;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

@Timeout(20)
final class MessageSocketTest {
  private final List<MessageSocket> pair = MessageSocket.pair();
  private final MessageSocket left = pair.get(0);
  private final MessageSocket right = pair.get(1);

  @AfterEach
  void close() {
    left.close();
    right.close();
  }

  private static MessageSocket.Message receive(MessageSocket socket) {
    MessageSocket.Message message = socket.receive();
    assertNotNull(message);
    return message;
  }

  @Test
  void messagesKeepTheirBounds() {
    left.send(new byte[0]);
    left.send(new byte[] {1, 2, 3});
    left.send(new byte[200]);
    assertEquals(0, receive(right).bytes().length);
    assertArrayEquals(new byte[] {1, 2, 3}, receive(right).bytes());
    assertEquals(200, receive(right).bytes().length);
  }

  @Test
  void descriptorsArriveWithTheirOwnMessage() {
    try (Fd first = Fd.memory("first", 111);
        Fd second = Fd.memory("second", 222)) {
      left.send(new byte[] {0});
      left.send(new byte[] {1}, List.of(first));
      left.send(new byte[] {2});
      left.send(new byte[] {3}, List.of(second, first));
      assertTrue(receive(right).descriptors().isEmpty());
      try (MessageSocket.Message one = receive(right)) {
        assertEquals(111, one.descriptors().getFirst().size());
      }
      assertTrue(receive(right).descriptors().isEmpty());
      try (MessageSocket.Message three = receive(right)) {
        assertEquals(222, three.descriptors().get(0).size());
        assertEquals(111, three.descriptors().get(1).size());
      }
    }
  }

  @Test
  void asManyDescriptorsAsTheKernelAllows() {
    try (Fd file = Fd.memory("many", 7)) {
      List<Fd> many = new ArrayList<>();
      for (int i = 0; i < MessageSocket.MAX_DESCRIPTORS; i++) {
        many.add(file);
      }
      left.send(new byte[] {1}, many);
      try (MessageSocket.Message message = receive(right)) {
        assertEquals(MessageSocket.MAX_DESCRIPTORS, message.descriptors().size());
        assertEquals(7, message.descriptors().getLast().size());
      }
    }
  }

  @Test
  void aMessageLongerThanTheSocketsBufferArrivesWhole() throws Exception {
    byte[] big = new byte[MessageSocket.MAX_MESSAGE_BYTES];
    for (int i = 0; i < big.length; i++) {
      big[i] = (byte) (i * 31);
    }
    CompletableFuture<Void> sent = CompletableFuture.runAsync(() -> left.send(big));
    assertArrayEquals(big, receive(right).bytes());
    sent.get(10, TimeUnit.SECONDS);
  }

  @Test
  void theEndIsNull() {
    left.close();
    assertNull(right.receive());
  }

  @Test
  void shutdownWakesTheReceiver() throws Exception {
    CompletableFuture<Boolean> ended = CompletableFuture.supplyAsync(() -> right.receive() == null);
    right.shutdown();
    assertTrue(ended.get(10, TimeUnit.SECONDS));
  }

  @Test
  void anEndWithinAMessageIsBroken() {
    sendRaw((byte) 5, (byte) 1);
    left.close();
    assertThrows(MessageSocket.BrokenFrameException.class, right::receive);
  }

  @Test
  void anAbsurdLengthIsBroken() {
    sendRaw((byte) 0xff, (byte) 0xff, (byte) 0xff, (byte) 0xff, (byte) 0x7f);
    assertThrows(MessageSocket.BrokenFrameException.class, right::receive);
    assertThrows(
        IllegalArgumentException.class,
        () -> left.send(new byte[MessageSocket.MAX_MESSAGE_BYTES + 1]));
  }

  @Test
  void sendingToNobodyFailsWithoutASignal() {
    right.close();
    LinuxException e = assertThrows(LinuxException.class, () -> left.send(new byte[] {1}));
    assertEquals(Errno.EPIPE, e.errno());
  }

  private void sendRaw(byte... bytes) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment raw = arena.allocateFrom(ValueLayout.JAVA_BYTE, bytes);
      assertEquals(bytes.length, left.fd().write(raw));
    }
  }

  @Test
  void listenerAtAPathLongerThanSunPath(@TempDir Path directory) throws Exception {
    Path deep = Files.createDirectories(directory.resolve("d".repeat(120)));
    String path = deep.resolve("vmm.sock").toString();
    try (UnixListener listener = UnixListener.bind(path, 4);
        MessageSocket client = MessageSocket.connect(path)) {
      MessageSocket server = listener.accept();
      assertNotNull(server);
      client.send(new byte[] {42});
      assertArrayEquals(new byte[] {42}, receive(server).bytes());
      server.close();
      assertNull(client.receive());
    }
  }

  @Test
  void shutdownWakesTheAccepter(@TempDir Path directory) throws Exception {
    try (UnixListener listener = UnixListener.bind(directory + "/l.sock", 4)) {
      CompletableFuture<Boolean> ended =
          CompletableFuture.supplyAsync(() -> listener.accept() == null);
      listener.shutdown();
      assertTrue(ended.get(10, TimeUnit.SECONDS));
    }
  }
}

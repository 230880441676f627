package dev.vireo.vmm.virtio.vsock;

import static dev.vireo.vmm.virtio.queue.GuestRing.BUFFERS;
import static dev.vireo.vmm.virtio.queue.GuestRing.NEXT;
import static dev.vireo.vmm.virtio.queue.GuestRing.RAM_END;
import static dev.vireo.vmm.virtio.queue.GuestRing.WRITE;
import static dev.vireo.vmm.virtio.vsock.PacketHeader.OP_CREDIT_REQUEST;
import static dev.vireo.vmm.virtio.vsock.PacketHeader.OP_CREDIT_UPDATE;
import static dev.vireo.vmm.virtio.vsock.PacketHeader.OP_REQUEST;
import static dev.vireo.vmm.virtio.vsock.PacketHeader.OP_RESPONSE;
import static dev.vireo.vmm.virtio.vsock.PacketHeader.OP_RST;
import static dev.vireo.vmm.virtio.vsock.PacketHeader.OP_RW;
import static dev.vireo.vmm.virtio.vsock.PacketHeader.OP_SHUTDOWN;
import static dev.vireo.vmm.virtio.vsock.PacketHeader.SHUTDOWN_BOTH;
import static dev.vireo.vmm.virtio.vsock.PacketHeader.SHUTDOWN_RECEIVE;
import static dev.vireo.vmm.virtio.vsock.PacketHeader.SHUTDOWN_SEND;
import static java.nio.charset.StandardCharsets.US_ASCII;
import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.vireo.linux.Fd;
import dev.vireo.linux.MessageSocket;
import dev.vireo.linux.StreamSocket;
import dev.vireo.vmm.backend.FakeLibc;
import dev.vireo.vmm.virtio.DeviceStatus;
import dev.vireo.vmm.virtio.mmio.Register;
import dev.vireo.vmm.virtio.queue.GuestRing;
import dev.vireo.vmm.virtio.queue.Interloper;
import dev.vireo.vmm.virtio.vsock.VsockGuest.Dial;
import dev.vireo.vmm.virtio.vsock.VsockGuest.Packet;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.atomic.AtomicBoolean;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Nested;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** A whole device, from a guest's registers and rings to the host's sockets. */
@Timeout(30)
class VsockDeviceTest {
  private static final int GUEST_PORT = 5000;
  private static final int HOST_PORT = 1024;
  private static final int CAPACITY = SendBuffer.CAPACITY;
  private static final int BUFFERS_POSTED = 64;
  private static final int MSG_PEEK = 2;

  @TempDir private Path directory;

  private VsockGuest guest;

  @BeforeEach
  void start() {
    guest = new VsockGuest(directory).start(BUFFERS_POSTED);
  }

  @AfterEach
  void close() {
    guest.close();
  }

  // ---- What tests are made of. ----

  private static Packet packet(int operation, byte... data) {
    return Packet.of(operation, GUEST_PORT, HOST_PORT, data);
  }

  private static byte[] pattern(int from, int length) {
    byte[] bytes = new byte[length];
    for (int i = 0; i < length; i++) {
      bytes[i] = (byte) (((from + i) * 31) >> 3);
    }
    return bytes;
  }

  private static void write(SocketChannel channel, byte[] bytes) throws IOException {
    ByteBuffer buffer = ByteBuffer.wrap(bytes);
    while (buffer.hasRemaining()) {
      int ignored = channel.write(buffer);
    }
  }

  private static void write(SocketChannel channel, String text) throws IOException {
    write(channel, text.getBytes(US_ASCII));
  }

  /** Exactly so many bytes, or fewer if the end comes first. */
  private static byte[] read(SocketChannel channel, int length) throws IOException {
    ByteBuffer buffer = ByteBuffer.allocate(length);
    while (buffer.hasRemaining() && channel.read(buffer) >= 0) {}
    return Arrays.copyOf(buffer.array(), buffer.position());
  }

  private static String readLine(SocketChannel channel) throws IOException {
    StringBuilder line = new StringBuilder();
    while (line.isEmpty() || line.charAt(line.length() - 1) != '\n') {
      byte[] next = read(channel, 1);
      if (next.length == 0) {
        break;
      }
      line.append((char) next[0]);
    }
    return line.toString();
  }

  private static boolean atEnd(SocketChannel channel) throws IOException {
    return channel.read(ByteBuffer.allocate(1)) < 0;
  }

  /** A packet about a connection that a process of the host began. */
  private static Packet reply(Packet request, int operation, byte... data) {
    return Packet.of(operation, request.destinationPort(), request.sourcePort(), data);
  }

  /** Host's end of a connection, and the guest's view of its ports. */
  private record Stream(SocketChannel host, Packet request) {
    Packet packet(int operation, byte... data) {
      return reply(request, operation, data);
    }
  }

  private Stream connectedByHost() throws IOException {
    SocketChannel channel = guest.hostConnects();
    write(channel, "CONNECT " + GUEST_PORT + "\n");
    Packet request = guest.receive();
    assertEquals(OP_REQUEST, request.operation());
    guest.send(reply(request, OP_RESPONSE));
    assertEquals("OK " + request.sourcePort() + "\n", readLine(channel));
    return new Stream(channel, request);
  }

  /** What the worker would have connected to. */
  private final class Listener {
    private final MessageSocket host;
    private final Fd ours;

    Listener() {
      List<MessageSocket> pair = MessageSocket.pair();
      host = guest.own(pair.get(0));
      ours = pair.get(1).fd().duplicate();
      pair.get(1).close();
    }

    String read(int length) {
      try (Arena arena = Arena.ofConfined()) {
        MemorySegment bytes = arena.allocate(length);
        int count = host.fd().read(bytes);
        return new String(bytes.asSlice(0, count).toArray(ValueLayout.JAVA_BYTE), US_ASCII);
      }
    }

    void write(String text) {
      try (Arena arena = Arena.ofConfined()) {
        assertEquals(
            text.length(), host.fd().write(arena.allocateFrom(text).asSlice(0, text.length())));
      }
    }
  }

  /** It was asked before the request's buffer was returned. */
  private Dial dialed() {
    return guest.dials.removeFirst();
  }

  private Listener connectedByGuest() {
    guest.send(packet(OP_REQUEST));
    Dial dial = dialed();
    assertEquals(HOST_PORT, dial.port());
    Listener listener = new Listener();
    guest.device.dialed(dial.key(), listener.ours);
    assertEquals(OP_RESPONSE, guest.receive().operation());
    return listener;
  }

  private void assertReset(int guestPort, int hostPort) {
    Packet reset = guest.receive();
    assertEquals(OP_RST, reset.operation());
    assertEquals(hostPort, reset.sourcePort());
    assertEquals(guestPort, reset.destinationPort());
    assertEquals(0, reset.data().size());
  }

  /** Nothing is on its way, and everything works. */
  private void assertWorks() throws IOException {
    assertFalse(guest.hasPacket());
    Stream stream = connectedByHost();
    write(stream.host, "ping");
    assertArrayEquals("ping".getBytes(US_ASCII), guest.receive().bytes());
    guest.send(stream.packet(OP_RW, "pong".getBytes(US_ASCII)));
    assertArrayEquals("pong".getBytes(US_ASCII), read(stream.host, 4));
    guest.send(stream.packet(OP_RST));
    assertTrue(atEnd(stream.host));
  }

  // ---- Rules. ----

  @Test
  void isFoundByItsNumberAndTellsTheGuestItsCid() {
    assertEquals(19, guest.driver.read(Register.DEVICE_ID));
    assertEquals(VsockGuest.CID, guest.transport.read(Register.CONFIG, 4));
    assertEquals(0, guest.transport.read(Register.CONFIG + 4, 4));
    guest.transport.write(Register.CONFIG, 4, 1);
    assertEquals(VsockGuest.CID, guest.transport.read(Register.CONFIG, 4));
  }

  @Nested
  class AProcessOfTheHost {
    @Test
    void connectsToAPortOfTheGuest() throws IOException {
      SocketChannel channel = guest.hostConnects();
      write(channel, "CONNECT 5000\n");
      Packet request = guest.receive();
      assertEquals(OP_REQUEST, request.operation());
      assertEquals(2, request.sourceCid());
      assertEquals(VsockGuest.CID, request.destinationCid());
      assertEquals(5000, request.destinationPort());
      assertTrue(request.sourcePort() >= 1 << 30);
      assertEquals(1, request.type());
      assertEquals(CAPACITY, request.bufferSize());
      assertEquals(0, request.forwarded());
      guest.send(reply(request, OP_RESPONSE));
      assertEquals("OK " + request.sourcePort() + "\n", readLine(channel));
      assertEquals(1, guest.count("connections_from_host"));
      assertEquals(1, guest.connections());
    }

    @Test
    void mayGoOnWithoutWaitingForTheAnswer() throws IOException {
      SocketChannel channel = guest.hostConnects();
      write(channel, "CONNECT 5000\nfirst\nsecond");
      Packet request = guest.receive();
      assertFalse(guest.hasPacket(), "nothing before the guest has accepted");
      guest.send(reply(request, OP_RESPONSE));
      assertArrayEquals("first\nsecond".getBytes(US_ASCII), guest.receive().bytes());
    }

    @Test
    void maySpeakInPieces() throws IOException {
      SocketChannel channel = guest.hostConnects();
      for (String piece : List.of("C", "ON", "NECT ", "50", "00", "\n")) {
        write(channel, piece);
      }
      assertEquals(5000, guest.receive().destinationPort());
    }

    @Test
    void isShutOutIfTheGuestRefuses() throws IOException {
      SocketChannel channel = guest.hostConnects();
      write(channel, "CONNECT 5000\n");
      guest.send(reply(guest.receive(), OP_RST));
      assertTrue(atEnd(channel));
      assertEquals(1, guest.count("refused_by_guest"));
      guest.awaitNoConnections();
      assertWorks();
    }

    @ParameterizedTest
    @ValueSource(
        strings = {
          "\n",
          "GET / HTTP/1.1\r\n",
          "CONNECT\n",
          "CONNECT 4294967296\n",
          "a line that is longer than any that makes sense"
        })
    void isShutOutIfItSaysAnythingElse(String line) throws IOException {
      SocketChannel channel = guest.hostConnects();
      write(channel, line);
      // What it said and nobody read makes the end an error on unix sockets.
      assertThrows(IOException.class, () -> assertFalse(atEnd(channel), "closed"));
      assertEquals(1, guest.count("errors_command"));
      assertWorks();
    }

    @Test
    void mayGiveUpBeforeItHasSaidAnything() throws IOException {
      SocketChannel channel = guest.hostConnects();
      write(channel, "CONN");
      channel.close();
      guest.awaitCount("errors_command", 1);
      assertWorks();
    }

    @Test
    void mayGiveUpBeforeTheGuestHasAnswered() throws IOException {
      SocketChannel channel = guest.hostConnects();
      write(channel, "CONNECT 5000\n");
      Packet request = guest.receive();
      channel.close();
      assertReset(5000, request.sourcePort());
      guest.send(reply(request, OP_RESPONSE));
      assertReset(5000, request.sourcePort());
      assertWorks();
    }

    @Test
    void waitsUntilThereIsADriver() throws IOException {
      guest.driver.reset();
      SocketChannel channel = guest.hostConnects();
      write(channel, "CONNECT 5000\n");
      guest.start(BUFFERS_POSTED);
      assertEquals(OP_REQUEST, guest.receive().operation());
    }
  }

  @Nested
  class TheGuest {
    @Test
    void connectsToAProcessOfTheHost() {
      Listener listener = connectedByGuest();
      assertEquals(1, guest.count("connections_from_guest"));
      guest.send(packet(OP_RW, "hello".getBytes(US_ASCII)));
      assertEquals("hello", listener.read(10));
      listener.write("you");
      Packet answer = guest.receive();
      assertEquals(OP_RW, answer.operation());
      assertEquals(HOST_PORT, answer.sourcePort());
      assertEquals(GUEST_PORT, answer.destinationPort());
      assertEquals(5, answer.forwarded());
      assertArrayEquals("you".getBytes(US_ASCII), answer.bytes());
    }

    @Test
    void isRefusedIfNobodyListens() throws IOException {
      guest.send(packet(OP_REQUEST));
      guest.device.dialed(dialed().key(), null);
      assertReset(GUEST_PORT, HOST_PORT);
      assertEquals(1, guest.count("refused_by_host"));
      assertWorks();
    }

    @Test
    void isRefusedAtOnceWhileThereIsNoWorker() throws IOException {
      guest.workerIsThere = false;
      guest.send(packet(OP_REQUEST));
      assertReset(GUEST_PORT, HOST_PORT);
      assertWorks();
    }

    @Test
    void isRefusedIfTheWorkerGoesAwayMeanwhile() throws IOException {
      guest.send(packet(OP_REQUEST));
      Dial dial = dialed();
      guest.device.workerLost();
      assertReset(GUEST_PORT, HOST_PORT);
      Listener late = new Listener();
      guest.device.dialed(dial.key(), late.ours);
      assertEquals("", late.read(1), "closed");
      assertWorks();
    }

    @Test
    void mayGiveUpBeforeTheAnswer() throws IOException {
      guest.send(packet(OP_REQUEST));
      Dial dial = dialed();
      guest.send(packet(OP_RST));
      Listener late = new Listener();
      guest.device.dialed(dial.key(), late.ours);
      assertEquals("", late.read(1), "closed");
      assertWorks();
    }

    @Test
    void hasNoMoreThanSomeQuestionsAskedAtOnce() {
      for (int i = 0; i < 200; i++) {
        guest.send(Packet.of(OP_REQUEST, i, HOST_PORT));
      }
      assertEquals(64, guest.dials.size());
      for (int i = 0; i < 200; i++) {
        guest.device.dialed(dialed().key(), null);
        assertReset(i, HOST_PORT);
      }
      assertTrue(guest.dials.isEmpty());
      guest.awaitNoConnections();
    }

    @Test
    void mayHaveThousandsOfConnectionsAndNoMore() {
      for (int i = 0; i < ConnectionTable.MOST; i++) {
        guest.send(Packet.of(OP_REQUEST, i, HOST_PORT));
      }
      guest.awaitConnections(ConnectionTable.MOST);
      assertFalse(guest.hasPacket());
      guest.send(Packet.of(OP_REQUEST, 10_000, HOST_PORT));
      assertReset(10_000, HOST_PORT);
      assertEquals(1, guest.count("refused_too_many"));
      guest.send(Packet.of(OP_RST, 7, HOST_PORT));
      guest.send(Packet.of(OP_REQUEST, 10_000, HOST_PORT));
      assertFalse(guest.hasPacket());
    }

    @Test
    void makesRoomForAProcessThatWaitsByAnEnd() throws IOException {
      for (int i = 0; i < ConnectionTable.MOST; i++) {
        guest.send(Packet.of(OP_REQUEST, i, HOST_PORT));
      }
      SocketChannel channel = guest.hostConnects();
      write(channel, "CONNECT 5000\n");
      guest.send(Packet.of(OP_RST, 7, HOST_PORT));
      assertEquals(OP_REQUEST, guest.receive().operation());
    }

    @Test
    void cannotConnectTwiceFromOnePort() throws IOException {
      Listener listener = connectedByGuest();
      guest.send(packet(OP_REQUEST));
      assertReset(GUEST_PORT, HOST_PORT);
      assertEquals("", listener.read(1));
      assertEquals(1, guest.count("errors_operation"));
      assertWorks();
    }
  }

  @Nested
  class Credit {
    @Test
    void ofTheGuestIsNotExceeded() throws IOException {
      Stream stream = connectedByHost();
      byte[] sent = pattern(0, 100);
      guest.send(stream.packet(OP_CREDIT_UPDATE).credit(30, 0));
      write(stream.host, sent);
      assertArrayEquals(Arrays.copyOf(sent, 30), guest.receive().bytes());
      assertEquals(OP_CREDIT_REQUEST, guest.receive().operation());
      assertFalse(guest.hasPacket(), "asked once");
      guest.send(stream.packet(OP_CREDIT_UPDATE).credit(30, 0));
      assertFalse(guest.hasPacket(), "there is none yet");
      guest.send(stream.packet(OP_CREDIT_UPDATE).credit(30, 25));
      assertArrayEquals(Arrays.copyOfRange(sent, 30, 55), guest.receive().bytes());
      assertEquals(OP_CREDIT_REQUEST, guest.receive().operation());
      guest.send(stream.packet(OP_RW, (byte) 1).credit(1000, 55));
      assertArrayEquals(Arrays.copyOfRange(sent, 55, 100), guest.receive().bytes());
      assertEquals(2, guest.count("stalls_of_guest"));
      assertEquals(100, guest.count("bytes_to_guest"));
    }

    @Test
    void isToldToAGuestThatAsks() throws IOException {
      Stream stream = connectedByHost();
      guest.send(stream.packet(OP_RW, (byte) 1));
      guest.send(stream.packet(OP_CREDIT_REQUEST));
      Packet update = guest.receive();
      assertEquals(OP_CREDIT_UPDATE, update.operation());
      assertEquals(CAPACITY, update.bufferSize());
      assertEquals(1, update.forwarded());
    }

    @Test
    void isToldOfUnaskedWhenHalfOfItIsUsed() throws IOException {
      Stream stream = connectedByHost();
      guest.send(stream.packet(OP_RW, pattern(0, CAPACITY / 2 - 1)));
      assertFalse(guest.hasPacket());
      guest.send(stream.packet(OP_RW, (byte) 0));
      Packet update = guest.receive();
      assertEquals(OP_CREDIT_UPDATE, update.operation());
      assertEquals(CAPACITY / 2, update.forwarded());
    }

    /** Neither is more taken from the guest than it has credit for, nor is any of it lost. */
    @Test
    void endsWhenTheHostsProcessDoesNotReadAndComesBackWhenItDoes() throws IOException {
      Stream stream = connectedByHost();
      int sent = 0;
      int acknowledged = 0;
      while (sent - acknowledged + 4096 <= CAPACITY) {
        guest.send(stream.packet(OP_RW, pattern(sent, 4096)));
        sent += 4096;
        while (guest.hasPacket()) {
          acknowledged = guest.receive().forwarded();
        }
      }
      assertEquals(CAPACITY, sent - acknowledged, "all credit is used, and nothing more is told");
      assertEquals(1, guest.count("stalls_of_host"));
      assertTrue(sent > 2 * CAPACITY, "the socket has taken some");

      byte[] received = read(stream.host, sent);
      assertArrayEquals(pattern(0, sent), received);
      Packet update = guest.receive();
      assertEquals(OP_CREDIT_UPDATE, update.operation());
      guest.send(stream.packet(OP_RW, pattern(sent, 4096)));
      assertArrayEquals(pattern(sent, 4096), read(stream.host, 4096));
      assertEquals(sent + 4096, guest.count("bytes_to_host"));
    }

    @Test
    void thatIsOverdrawnCostsTheConnection() throws IOException {
      Stream stream = connectedByHost();
      guest.send(stream.packet(OP_RW, pattern(0, CAPACITY + 1)));
      assertReset(GUEST_PORT, stream.request.sourcePort());
      assertEquals(1, guest.count("errors_credit"));
      assertTrue(atEnd(stream.host));
      assertWorks();
    }

    @Test
    void ofAllOfItAtOnceIsLegal() throws IOException {
      Stream stream = connectedByHost();
      guest.send(stream.packet(OP_RW, pattern(0, CAPACITY)));
      assertArrayEquals(pattern(0, CAPACITY), read(stream.host, CAPACITY));
    }

    @Test
    void ofAStalledConnectionDoesNotHoldUpAnother() throws IOException {
      Stream stalled = connectedByHost();
      guest.send(stalled.packet(OP_CREDIT_UPDATE).credit(0, 0));
      write(stalled.host, "x");
      assertEquals(OP_CREDIT_REQUEST, guest.receive().operation());
      assertWorks();
    }

    /** The buffers of the guest are cut differently from the data, and come late. */
    @Test
    void ofAMebibyteBothWaysAtOnce() throws Exception {
      Stream stream = connectedByHost();
      int total = 1 << 20;
      var writer =
          Thread.ofPlatform()
              .start(() -> {
                try {
                  write(stream.host, pattern(0, total));
                } catch (IOException e) {
                  throw new AssertionError(e);
                }
              });
      ByteArrayOutputStream atHost = new ByteArrayOutputStream();
      var reader =
          Thread.ofPlatform()
              .start(() -> {
                try {
                  atHost.writeBytes(read(stream.host, total));
                } catch (IOException e) {
                  throw new AssertionError(e);
                }
              });
      ByteArrayOutputStream atGuest = new ByteArrayOutputStream();
      int sent = 0;
      int forwarded = 0;
      while (atGuest.size() < total || sent < total) {
        int size = Math.min(total - sent, 3000);
        if (size > 0 && sent - forwarded + size <= CAPACITY) {
          guest.send(stream.packet(OP_RW, pattern(sent, size)).credit(10_000, atGuest.size()));
          sent += size;
        } else if (!guest.hasPacket() && size == 0) {
          guest.send(stream.packet(OP_CREDIT_UPDATE).credit(10_000, atGuest.size()));
        }
        while (guest.hasPacket() || (size > 0 && sent - forwarded + size > CAPACITY)) {
          Packet packet = guest.receive();
          forwarded = packet.forwarded();
          atGuest.writeBytes(packet.bytes());
          if (packet.operation() == OP_CREDIT_REQUEST) {
            guest.send(stream.packet(OP_CREDIT_UPDATE).credit(10_000, atGuest.size()));
          }
        }
      }
      writer.join();
      reader.join();
      assertArrayEquals(pattern(0, total), atGuest.toByteArray());
      assertArrayEquals(pattern(0, total), atHost.toByteArray());
    }
  }

  @Nested
  class AnEnd {
    @Test
    void ofTheHostsHalfComesAfterItsData() throws IOException {
      Stream stream = connectedByHost();
      write(stream.host, "last words");
      stream.host.shutdownOutput();
      assertArrayEquals("last words".getBytes(US_ASCII), guest.receive().bytes());
      Packet end = guest.receive();
      assertEquals(OP_SHUTDOWN, end.operation());
      assertEquals(SHUTDOWN_SEND, end.flags());
      guest.send(stream.packet(OP_RW, "answer".getBytes(US_ASCII)));
      assertArrayEquals("answer".getBytes(US_ASCII), read(stream.host, 6));
      guest.send(stream.packet(OP_SHUTDOWN).flags(SHUTDOWN_BOTH));
      assertReset(GUEST_PORT, stream.request.sourcePort());
      assertTrue(atEnd(stream.host));
      guest.awaitNoConnections();
    }

    @Test
    void ofTheHostsProcessAfterThatOfItsHalfIsToldToo() throws IOException {
      Stream stream = connectedByHost();
      stream.host.shutdownOutput();
      assertEquals(SHUTDOWN_SEND, guest.receive().flags());
      stream.host.close();
      assertEnds(stream);
    }

    @Test
    void ofTheHostsProcessIsToldToAGuestThatReceivesNoMore() throws IOException {
      Stream stream = connectedByHost();
      guest.send(stream.packet(OP_SHUTDOWN).flags(SHUTDOWN_RECEIVE));
      stream.host.close();
      assertEnds(stream);
    }

    @Test
    void ofTheHostsProcessIsToldToAGuestThatReceivesNoMoreThen() throws IOException {
      Stream stream = connectedByHost();
      guest.send(stream.packet(OP_CREDIT_UPDATE).credit(0, 0));
      write(stream.host, "for nobody");
      stream.host.close();
      assertEquals(OP_CREDIT_REQUEST, guest.receive().operation());
      guest.send(stream.packet(OP_SHUTDOWN).flags(SHUTDOWN_RECEIVE).credit(0, 0));
      assertEnds(stream);
    }

    private void assertEnds(Stream stream) throws IOException {
      Packet end = guest.receive();
      assertEquals(OP_SHUTDOWN, end.operation());
      assertEquals(SHUTDOWN_BOTH, end.flags());
      guest.send(stream.packet(OP_RST));
      guest.awaitNoConnections();
      assertWorks();
    }

    @Test
    void ofTheHostsProcessIsThatOfBothHalves() throws IOException {
      Stream stream = connectedByHost();
      write(stream.host, "bye");
      stream.host.close();
      assertArrayEquals("bye".getBytes(US_ASCII), guest.receive().bytes());
      Packet end = guest.receive();
      assertEquals(OP_SHUTDOWN, end.operation());
      assertEquals(SHUTDOWN_BOTH, end.flags());
      guest.send(stream.packet(OP_RW, (byte) 1)); // It did not know yet.
      assertFalse(guest.hasPacket());
      assertEquals(1, guest.count("bytes_dropped"));
      guest.send(stream.packet(OP_RST));
      guest.awaitNoConnections();
      assertWorks();
    }

    @Test
    void waitsForTheGuestToTakeWhatWasBefore() throws IOException {
      Stream stream = connectedByHost();
      guest.send(stream.packet(OP_CREDIT_UPDATE).credit(0, 0));
      write(stream.host, "late");
      stream.host.close();
      assertEquals(OP_CREDIT_REQUEST, guest.receive().operation());
      assertFalse(guest.hasPacket());
      guest.send(stream.packet(OP_CREDIT_UPDATE).credit(100, 0));
      assertArrayEquals("late".getBytes(US_ASCII), guest.receive().bytes());
      assertEquals(SHUTDOWN_BOTH, guest.receive().flags());
    }

    @Test
    void ofTheGuestsHalfComesAfterItsData() throws IOException {
      Stream stream = connectedByHost();
      guest.send(stream.packet(OP_RW, "last words".getBytes(US_ASCII)));
      guest.send(stream.packet(OP_SHUTDOWN).flags(SHUTDOWN_SEND));
      assertArrayEquals("last words".getBytes(US_ASCII), read(stream.host, 100));
      write(stream.host, "answer");
      assertArrayEquals("answer".getBytes(US_ASCII), guest.receive().bytes());
      stream.host.close();
      assertEquals(SHUTDOWN_BOTH, guest.receive().flags());
    }

    @Test
    void ofTheGuestsHalfComesAfterWhatTheHostsProcessHasNotRead() throws IOException {
      Stream stream = connectedByHost();
      int sent = fillUp(stream);
      guest.send(stream.packet(OP_SHUTDOWN).flags(SHUTDOWN_SEND));
      assertArrayEquals(pattern(0, sent), read(stream.host, sent + 1));
    }

    @Test
    void ofAGuestThatReceivesNoMoreIsSeenByTheHostsProcess() throws IOException {
      Stream stream = connectedByHost();
      guest.send(stream.packet(OP_SHUTDOWN).flags(SHUTDOWN_RECEIVE));
      assertThrows(IOException.class, () -> write(stream.host, "x"));
      guest.send(stream.packet(OP_RW, "still".getBytes(US_ASCII)));
      assertArrayEquals("still".getBytes(US_ASCII), read(stream.host, 5));
    }

    @Test
    void ofTheGuestIsConfirmedAtOnceAndNothingIsLost() throws IOException {
      Stream stream = connectedByHost();
      int sent = fillUp(stream);
      guest.send(stream.packet(OP_SHUTDOWN).flags(SHUTDOWN_BOTH));
      assertReset(GUEST_PORT, stream.request.sourcePort());
      guest.send(stream.packet(OP_RW, (byte) 1));
      assertReset(GUEST_PORT, stream.request.sourcePort());
      assertArrayEquals(pattern(0, sent), read(stream.host, sent + 1));
      guest.awaitNoConnections();
      assertEquals(0, guest.count("bytes_dropped"));
    }

    /** As Linux has it: the second when its process closes the socket. */
    @Test
    void isConfirmedByTheGuestTwiceAndThatIsNoError() throws IOException {
      Stream stream = connectedByHost();
      stream.host.close();
      assertEquals(SHUTDOWN_BOTH, guest.receive().flags());
      guest.send(stream.packet(OP_RST));
      guest.awaitNoConnections();
      guest.send(stream.packet(OP_RST));
      assertEquals(0, guest.count("errors_no_connection"));
      assertWorks();
    }

    @Test
    void byResetIsOneAtOnce() throws IOException {
      Stream stream = connectedByHost();
      guest.send(stream.packet(OP_RST));
      assertTrue(atEnd(stream.host));
      guest.awaitNoConnections();
      assertFalse(guest.hasPacket());
    }

    @Test
    void ofAProcessThatHasNotReadDropsWhatWasForIt() throws IOException {
      Stream stream = connectedByHost();
      fillUp(stream);
      stream.host.close();
      Packet end = guest.receive();
      assertEquals(SHUTDOWN_BOTH, end.flags());
      assertTrue(guest.count("bytes_dropped") > 0);
      guest.send(stream.packet(OP_RST));
      assertWorks();
    }

    /** Sends until all credit is used; returns how much that was. */
    private int fillUp(Stream stream) {
      int sent = 0;
      int forwarded = 0;
      while (sent - forwarded < CAPACITY) {
        guest.send(stream.packet(OP_RW, pattern(sent, CAPACITY / 4)));
        sent += CAPACITY / 4;
        while (guest.hasPacket()) {
          forwarded = guest.receive().forwarded();
        }
      }
      return sent;
    }
  }

  @Nested
  class HostilePackets {
    @ParameterizedTest
    @ValueSource(
        ints = {OP_RESPONSE, OP_SHUTDOWN, OP_RW, OP_CREDIT_UPDATE, OP_CREDIT_REQUEST, 0, 8, 0xffff})
    void ofNoConnectionAreAnsweredByReset(int operation) throws IOException {
      guest.send(packet(operation, (byte) 1));
      assertReset(GUEST_PORT, HOST_PORT);
      assertEquals(1, guest.count("errors_no_connection"));
      assertWorks();
    }

    @Test
    void thatAreResetsAreNotAnswered() throws IOException {
      guest.send(packet(OP_RST));
      assertWorks();
    }

    @ParameterizedTest
    @ValueSource(longs = {0, 1, 2, VsockGuest.CID + 1, VsockGuest.CID | 1L << 32, -1})
    void thatAreNotTheGuestsAreDropped(long cid) throws IOException {
      guest.send(packet(OP_REQUEST).from(cid));
      assertEquals(1, guest.count("errors_cid"));
      assertTrue(guest.dials.isEmpty());
      assertWorks();
    }

    @ParameterizedTest
    @ValueSource(longs = {0, 1, 3, VsockGuest.CID, 2 | 1L << 32, -1})
    void thatAreNotForTheHostAreDropped(long cid) throws IOException {
      guest.send(packet(OP_REQUEST).to(cid));
      assertEquals(1, guest.count("errors_cid"));
      assertTrue(guest.dials.isEmpty());
      assertWorks();
    }

    @ParameterizedTest
    @ValueSource(ints = {0, 2, 3, 0xffff})
    void ofUnknownTypeAreAnsweredByResetOfThatType(int type) throws IOException {
      guest.send(packet(OP_REQUEST).ofType(type));
      Packet reset = guest.receive();
      assertEquals(OP_RST, reset.operation());
      assertEquals((short) type, reset.type());
      guest.send(packet(OP_RST).ofType(type));
      assertEquals(2, guest.count("errors_type"));
      assertWorks();
    }

    @ParameterizedTest
    @ValueSource(ints = {0, OP_REQUEST, OP_RESPONSE, 8, 0xffff})
    void thatHaveNoPlaceInAConnectionEndIt(int operation) throws IOException {
      Stream stream = connectedByHost();
      guest.send(stream.packet(operation));
      assertReset(GUEST_PORT, stream.request.sourcePort());
      assertTrue(atEnd(stream.host));
      assertEquals(1, guest.count("errors_operation"));
      assertWorks();
    }

    @ParameterizedTest
    @ValueSource(ints = {OP_RW, OP_SHUTDOWN, OP_REQUEST, 0})
    void beforeAConnectionIsThereEndIt(int operation) throws IOException {
      SocketChannel channel = guest.hostConnects();
      write(channel, "CONNECT 5000\n");
      Packet request = guest.receive();
      guest.send(reply(request, operation));
      assertReset(5000, request.sourcePort());
      assertTrue(atEnd(channel));
      guest.send(packet(OP_REQUEST));
      guest.send(packet(operation));
      assertReset(GUEST_PORT, HOST_PORT);
      assertWorks();
    }

    @Test
    void withDataAfterTheGuestsEndAreRefused() throws IOException {
      Stream stream = connectedByHost();
      guest.send(stream.packet(OP_SHUTDOWN).flags(SHUTDOWN_SEND));
      guest.send(stream.packet(OP_RW, (byte) 1));
      assertReset(GUEST_PORT, stream.request.sourcePort());
      assertWorks();
    }

    @ParameterizedTest
    @ValueSource(ints = {5, CAPACITY, Integer.MAX_VALUE, Integer.MIN_VALUE, -1})
    void withLessDataThanTheySayEndTheirConnection(int length) throws IOException {
      Stream stream = connectedByHost();
      guest.send(stream.packet(OP_RW, new byte[4]), length);
      assertReset(GUEST_PORT, stream.request.sourcePort());
      assertEquals(1, guest.count("errors_malformed"));
      assertTrue(atEnd(stream.host));
      assertWorks();
    }

    @Test
    void withMoreDataThanTheySayAreCutOff() throws IOException {
      Stream stream = connectedByHost();
      guest.send(stream.packet(OP_RW, "hello".getBytes(US_ASCII)), 2);
      guest.send(stream.packet(OP_RW), 0);
      guest.send(stream.packet(OP_RW, "y".getBytes(US_ASCII)));
      assertArrayEquals("hey".getBytes(US_ASCII), read(stream.host, 3));
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 8, 43})
    void thatEndWithinTheirHeaderAreDropped(int length) throws IOException {
      guest.sendRaw(new byte[length]);
      assertEquals(1, guest.count("errors_malformed"));
      assertWorks();
    }

    /** The worker's answers do not wait for a guest that always has more to send. */
    @Test
    void withoutEndHoldUpNobody() {
      Interloper interloper = new Interloper(16, guest.device::workerLost);
      guest.onDial = interloper::step;
      for (int i = 0; i < 64; i++) {
        byte[] request = VsockGuest.encode(Packet.of(OP_REQUEST, GUEST_PORT + i, HOST_PORT), 0);
        guest.memory.write(BUFFERS + 64L * i, request);
        guest.tx.descriptor(i, BUFFERS + 64L * i, request.length, 0, 0).offer(i);
      }
      guest.notifyTx();
      assertTrue(interloper.wasInTime());
    }

    @Test
    void thatAreCutAnywhereAreRead() throws IOException {
      Stream stream = connectedByHost();
      byte[] bytes = VsockGuest.encode(stream.packet(OP_RW, "pieces".getBytes(US_ASCII)), 6);
      guest.memory.write(BUFFERS, bytes);
      int[] cuts = {0, 3, 4, 17, 30, 43, 46, 50};
      for (int i = 0; i + 1 < cuts.length; i++) {
        int flags = i + 2 < cuts.length ? NEXT : 0;
        guest.tx.descriptor(i, BUFFERS + cuts[i], cuts[i + 1] - cuts[i], flags, i + 1);
      }
      guest.tx.offer(0);
      guest.notifyTx();
      assertArrayEquals("pieces".getBytes(US_ASCII), read(stream.host, 6));
      await().until(guest.tx::hasUsed);
      guest.tx.takeUsed();
    }

    @Test
    void inBuffersThatAreNoneAreDropped() throws IOException {
      guest.tx.descriptor(0, RAM_END - 20, 44, 0, 0).offer(0);
      guest.notifyTx();
      guest.awaitCount("errors_descriptors", 1);
      guest.tx.descriptor(0, BUFFERS, 44, WRITE, 0).offer(0);
      guest.notifyTx();
      guest.awaitCount("errors_malformed", 1);
      await().until(() -> guest.tx.usedIndex() == 2);
      guest.tx.takeUsed();
      guest.tx.takeUsed();
      assertWorks();
    }

    @Test
    void inNumbersAreAnsweredOnlyAsFastAsTheAnswersAreTaken() throws IOException {
      guest.driver.reset();
      guest.start(0);
      for (int i = 0; i < 64; i++) {
        guest.send(Packet.of(OP_RW, i, HOST_PORT));
      }
      byte[] oneMore = VsockGuest.encode(Packet.of(OP_RW, 64, HOST_PORT), 0);
      guest.memory.write(BUFFERS, oneMore);
      guest.tx.descriptor(0, BUFFERS, oneMore.length, 0, 0).offer(0);
      guest.notifyTx();
      long before = guest.transport.inspect().queues().get(1).notifications();
      guest.notifyTx();
      await().until(() -> guest.transport.inspect().queues().get(1).notifications() > before);
      assertFalse(guest.tx.hasUsed(), "it waits");
      guest.offerBuffers(4);
      for (int i = 0; i <= 64; i++) {
        assertReset(i, HOST_PORT);
      }
      await().until(guest.tx::hasUsed);
      guest.tx.takeUsed();
      assertWorks();
    }
  }

  @Nested
  class BuffersOfTheGuest {
    @Test
    void thatAreOfNoUseAreReturnedEmpty() throws IOException {
      guest.driver.reset();
      guest.start(0);
      guest.rx.descriptor(0, BUFFERS, 44, WRITE, 0); // No room for data.
      guest.rx.descriptor(1, BUFFERS, 4096, 0, 0); // Not to be written.
      guest.rx.descriptor(2, RAM_END - 100, 4096, WRITE, 0);
      guest.rx.descriptor(3, BUFFERS, 43, WRITE, 0);
      SocketChannel channel = guest.hostConnects();
      write(channel, "CONNECT 5000\n");
      for (int head = 0; head < 4; head++) {
        guest.rx.offer(head);
      }
      guest.notifyRx();
      for (int head = 0; head < 4; head++) {
        await().until(guest.rx::hasUsed);
        assertEquals(0, guest.rx.takeUsed().written());
      }
      assertEquals(3, guest.count("errors_malformed"));
      assertEquals(1, guest.count("errors_descriptors"));
      guest.offerBuffers(4);
      assertEquals(OP_REQUEST, guest.receive().operation());
    }

    @Test
    void thatAreFewLeaveTheDataWhereItIs() throws IOException {
      guest.driver.reset();
      guest.start(2);
      SocketChannel channel = guest.hostConnects();
      write(channel, "CONNECT 5000\n");
      guest.send(reply(guest.take(), OP_RESPONSE));
      assertEquals("OK", readLine(channel).substring(0, 2));
      write(channel, pattern(0, 10_000));
      assertArrayEquals(pattern(0, 4096), guest.take().bytes());
      assertFalse(guest.hasPacket());
      guest.rx.offer(0).offer(1);
      guest.notifyRx();
      assertArrayEquals(pattern(4096, 4096), guest.take().bytes());
      assertArrayEquals(pattern(8192, 1808), guest.take().bytes());
    }
  }

  @Nested
  class LifeCycle {
    @Test
    void aResetEndsAllConnectionsAndTheDeviceComesBack() throws IOException {
      Stream stream = connectedByHost();
      SocketChannel early = guest.hostConnects();
      write(early, "CONNECT 5000\n");
      guest.receive();
      guest.send(packet(OP_REQUEST));
      Dial dial = dialed();
      guest.driver.reset();
      assertTrue(atEnd(stream.host));
      assertTrue(atEnd(early));
      assertEquals(0, guest.connections());
      Listener late = new Listener();
      guest.device.dialed(dial.key(), late.ours);
      assertEquals("", late.read(1), "closed");
      guest.start(BUFFERS_POSTED);
      assertWorks();
    }

    @Test
    void anAnswerToAQuestionFromBeforeAResetIsNotForALaterConnection() {
      guest.send(packet(OP_REQUEST));
      Dial before = dialed();
      guest.driver.reset();
      guest.start(BUFFERS_POSTED);
      guest.send(packet(OP_REQUEST));
      Dial after = dialed();
      Listener late = new Listener();
      guest.device.dialed(before.key(), late.ours);
      assertEquals("", late.read(1), "closed");
      guest.device.dialed(after.key(), new Listener().ours);
      assertEquals(OP_RESPONSE, guest.receive().operation());
      assertFalse(guest.hasPacket());
    }

    @Test
    void aResetTakesNoQuestionBack() {
      for (int round = 0; round < 3; round++) {
        guest.driver.reset();
        guest.start(BUFFERS_POSTED);
        for (int i = 0; i < 40; i++) {
          guest.send(Packet.of(OP_REQUEST, i, HOST_PORT));
        }
      }
      assertEquals(64, guest.dials.size());
      for (int i = 0; i < 40; i++) {
        guest.device.dialed(dialed().key(), null);
      }
      assertFalse(guest.hasPacket(), "these were of earlier drivers");
      for (int i = 0; i < 40; i++) {
        guest.device.dialed(guest.dials.removeLast().key(), null);
        assertEquals(OP_RST, guest.receive().operation());
      }
    }

    /** Nor are there answers to wait for from a worker that is gone. */
    @Test
    void aWorkerThatIsLostWithoutADriverAnswersNoMore() {
      for (int i = 0; i < 64; i++) {
        guest.send(Packet.of(OP_REQUEST, i, HOST_PORT));
      }
      guest.driver.reset();
      guest.device.workerLost();
      guest.start(BUFFERS_POSTED);
      guest.send(packet(OP_REQUEST));
      assertEquals(65, guest.dials.size());
    }

    @Test
    void aStoppedQueueIsServedNoMoreAndTheOtherIs() throws IOException {
      Stream stream = connectedByHost();
      guest.driver.write(Register.QUEUE_SEL, 1);
      guest.driver.write(Register.QUEUE_READY, 0);
      guest.tx.offer(0);
      guest.notifyTx();
      write(stream.host, "ping");
      assertArrayEquals("ping".getBytes(US_ASCII), guest.receive().bytes());
      assertFalse(guest.tx.hasUsed());
    }

    /** VIRTIO 1.2, section 2.6.1: both rings begin anew, and the other queue is as it was. */
    @Test
    void aReceiveQueueThatIsResetAloneLosesNoConnectionAndNoByte() throws IOException {
      Stream stream = connectedByHost();
      write(stream.host, "ping");
      assertEquals(4, guest.receive().bytes().length);
      guest.driver.resetQueue(0);
      int used = guest.rx.usedIndex();
      write(stream.host, "waits");
      guest.send(stream.packet(OP_RW, "pong".getBytes(US_ASCII)));
      assertArrayEquals("pong".getBytes(US_ASCII), read(stream.host, 4));
      assertEquals(used, guest.rx.usedIndex());
      guest.rx.clear();
      guest.driver.setUpQueue(0, guest.rx.setup());
      guest.offerBuffers(BUFFERS_POSTED);
      assertArrayEquals("waits".getBytes(US_ASCII), guest.receive().bytes());
      assertEquals(1, guest.rx.usedIndex());
      assertWorks();
    }

    @Test
    void aTransmitQueueThatIsResetAloneLosesNoConnection() throws IOException {
      Stream stream = connectedByHost();
      guest.driver.resetQueue(1);
      write(stream.host, "ping");
      assertArrayEquals("ping".getBytes(US_ASCII), guest.receive().bytes());
      guest.tx.clear();
      guest.driver.setUpQueue(1, guest.tx.setup());
      guest.send(stream.packet(OP_RW, "pong".getBytes(US_ASCII)));
      assertArrayEquals("pong".getBytes(US_ASCII), read(stream.host, 4));
      assertEquals(1, guest.tx.usedIndex());
      assertWorks();
    }

    /** A buffer that was taken, and for which there was nothing then, is the driver's again. */
    @Test
    void aReceiveQueueThatIsResetAloneForgetsTheBufferItHolds() throws IOException {
      Stream stream = connectedByHost();
      write(stream.host, pattern(0, 4096)); // Whether there is more shows with the next buffer.
      assertArrayEquals(pattern(0, 4096), guest.take().bytes());
      guest.driver.resetQueue(0);
      guest.rx.clear();
      guest.driver.setUpQueue(0, guest.rx.setup());
      guest.offerBuffers(BUFFERS_POSTED);
      write(stream.host, "hello");
      assertArrayEquals("hello".getBytes(US_ASCII), guest.receive().bytes());
      assertEquals(new GuestRing.Used(0, 49), guest.rx.used(0));
    }

    @Test
    void anIllegalRingNeedsAResetWhichBringsItBack() throws IOException {
      Stream stream = connectedByHost();
      guest.tx.offer(256);
      guest.notifyTx();
      await().until(() -> DeviceStatus.has(guest.driver.status(), DeviceStatus.NEEDS_RESET));
      assertTrue(atEnd(stream.host));
      assertEquals(1, guest.count("illegal.ring"));
      guest.start(BUFFERS_POSTED);
      assertWorks();
    }

    /** As when there is no more memory. It is found out before the queues are served. */
    @Test
    void anErrorAtNewsOfAConnectionNeedsAResetWhichBringsItBack() throws IOException {
      AtomicBoolean failing = new AtomicBoolean();
      FakeLibc libc =
          new FakeLibc((function, arguments) -> {
            if (function.equals("recvmsg")
                && ((int) arguments[2] & MSG_PEEK) != 0
                && failing.getAndSet(false)) {
              throw new InternalError("as a test wants");
            }
            return null;
          });
      guest.close();
      Path other = Files.createDirectory(directory.resolve("other"));
      guest = new VsockGuest(other, new StreamSocket(libc.libc())).start(BUFFERS_POSTED);
      assertWorks();
      failing.set(true);
      write(guest.hostConnects(), "CONNECT 5000\n");
      await().until(() -> DeviceStatus.has(guest.driver.status(), DeviceStatus.NEEDS_RESET));
      assertEquals(1, guest.count("illegal.device_failure"));
      guest.awaitNoConnections();
      guest.start(BUFFERS_POSTED);
      assertWorks();
    }

    @Test
    void withoutItsQueuesItIsNotServed() throws IOException {
      guest.driver.negotiate(0);
      guest.driver.ready();
      SocketChannel channel = guest.hostConnects();
      write(channel, "CONNECT 5000\n");
      guest.start(BUFFERS_POSTED);
      assertEquals(OP_REQUEST, guest.receive().operation());
    }

    @Test
    void manyConnectionsComeAndGoAndLeaveNothingOpen() throws IOException {
      long before = openFiles();
      List<Stream> streams = new ArrayList<>();
      for (int i = 0; i < 300; i++) {
        streams.add(connectedByHost());
      }
      for (Stream stream : streams) {
        write(stream.host, "ping");
        Packet ping = guest.receive();
        assertEquals(stream.request.sourcePort(), ping.sourcePort());
        guest.send(stream.packet(OP_RW, ping.bytes()).credit(VsockGuest.ROOM, 4));
        assertArrayEquals("ping".getBytes(US_ASCII), read(stream.host, 4));
      }
      for (Stream stream : streams) {
        stream.host.close();
        assertEquals(SHUTDOWN_BOTH, guest.receive().flags());
        guest.send(stream.packet(OP_RST));
      }
      guest.awaitNoConnections();
      assertEquals(before, openFiles());
    }

    private static long openFiles() throws IOException {
      try (var descriptors = Files.list(Path.of("/proc/self/fd"))) {
        return descriptors.count();
      }
    }

    @Test
    void closeEndsTheThread() throws IOException {
      connectedByHost();
      assertTrue(threads().contains("vsock vsock"));
      guest.transport.close();
      assertFalse(threads().contains("vsock vsock"));
    }

    private static List<String> threads() {
      return Thread.getAllStackTraces().keySet().stream().map(Thread::getName).toList();
    }
  }
}

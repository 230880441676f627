package dev.vireo.vmm.virtio.console;

import static dev.vireo.vmm.virtio.console.ConsoleGuest.BUFFER_BYTES;
import static dev.vireo.vmm.virtio.console.ConsoleGuest.CONSOLE_PORT;
import static dev.vireo.vmm.virtio.console.ConsoleGuest.CONTROL_RX;
import static dev.vireo.vmm.virtio.console.ConsoleGuest.CONTROL_TX;
import static dev.vireo.vmm.virtio.console.ConsoleGuest.DEVICE_ADD;
import static dev.vireo.vmm.virtio.console.ConsoleGuest.DEVICE_READY;
import static dev.vireo.vmm.virtio.console.ConsoleGuest.HVC0;
import static dev.vireo.vmm.virtio.console.ConsoleGuest.HVC1;
import static dev.vireo.vmm.virtio.console.ConsoleGuest.PIPE;
import static dev.vireo.vmm.virtio.console.ConsoleGuest.PORT_NAME;
import static dev.vireo.vmm.virtio.console.ConsoleGuest.PORT_OPEN;
import static dev.vireo.vmm.virtio.console.ConsoleGuest.PORT_READY;
import static dev.vireo.vmm.virtio.console.ConsoleGuest.RESIZE;
import static dev.vireo.vmm.virtio.console.ConsoleGuest.awaitUntil;
import static dev.vireo.vmm.virtio.console.ConsoleGuest.rx;
import static dev.vireo.vmm.virtio.console.ConsoleGuest.tx;
import static dev.vireo.vmm.virtio.queue.GuestRing.INDIRECT;
import static dev.vireo.vmm.virtio.queue.GuestRing.NEXT;
import static dev.vireo.vmm.virtio.queue.GuestRing.RAM_END;
import static dev.vireo.vmm.virtio.queue.GuestRing.WRITE;
import static java.nio.charset.StandardCharsets.US_ASCII;
import static java.util.Objects.requireNonNull;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.protobuf.ByteString;
import dev.vireo.vmm.backend.RateLimiter;
import dev.vireo.vmm.backend.TokenBucket;
import dev.vireo.vmm.virtio.DeviceStatus;
import dev.vireo.vmm.virtio.console.ConsoleGuest.Message;
import dev.vireo.vmm.virtio.console.ConsoleGuest.Rules;
import dev.vireo.vmm.virtio.mmio.Register;
import dev.vireo.vmm.virtio.queue.GuestRing;
import dev.vireo.vmm.virtio.queue.Interloper;
import dev.vireo.vmm.virtio.queue.Virtqueue;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Nested;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** A whole device, from a guest's registers and rings to the host's sockets. */
@Timeout(60)
class ConsoleDeviceTest {
  private static final String PIPE_NAME = "org.example.pipe";
  private static final long WITHOUT_MULTIPORT = ConsoleDevice.SIZE | ConsoleDevice.EMERG_WRITE;

  @TempDir private Path directory;

  private ConsoleGuest guest;

  @BeforeEach
  void make() {
    guest = new ConsoleGuest(directory, Rules.USUAL);
  }

  @AfterEach
  void close() {
    guest.close();
  }

  /** The same with other rules. */
  private void makeWith(Rules rules) throws IOException {
    guest.close();
    Path other = java.nio.file.Files.createDirectory(directory.resolve("other"));
    guest = new ConsoleGuest(other, rules);
  }

  // ---- What tests are made of. ----

  private static byte[] ascii(String text) {
    return text.getBytes(US_ASCII);
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

  /** Exactly so many bytes, or fewer if the end comes first. */
  private static byte[] read(SocketChannel channel, int length) throws IOException {
    ByteBuffer buffer = ByteBuffer.allocate(length);
    while (buffer.hasRemaining() && channel.read(buffer) >= 0) {}
    return Arrays.copyOf(buffer.array(), buffer.position());
  }

  private static String readText(SocketChannel channel, int length) throws IOException {
    return new String(read(channel, length), US_ASCII);
  }

  private static boolean hasBytes(SocketChannel channel) throws IOException {
    channel.configureBlocking(false);
    boolean some = channel.read(ByteBuffer.allocate(1)) > 0;
    channel.configureBlocking(true);
    return some;
  }

  /** A client of an open guest, of which the guest has heard. */
  private SocketChannel connected(int port, String name) throws IOException {
    SocketChannel client = guest.connect(name);
    assertEquals(Message.of(port, PORT_OPEN, 1), guest.hear());
    return client;
  }

  /** What is written to a port of the guest, and in how many chains of 4 KiB. */
  private byte[] receive(int port, int length) {
    ByteArrayOutputStream all = new ByteArrayOutputStream();
    while (all.size() < length) {
      all.writeBytes(guest.receive(rx(port)));
    }
    return all.toByteArray();
  }

  /** Offers chains of 4 KiB until the device keeps all of a queue; how many it returned. */
  private int fillOutput(int port) {
    int queue = tx(port);
    GuestRing ring = guest.ring(queue);
    long stalls = guest.count("stalls_of_host");
    int chains = 0;
    while (guest.count("stalls_of_host") == stalls) {
      guest.offer(queue, pattern(chains * BUFFER_BYTES, BUFFER_BYTES));
      awaitUntil(
          "a chain or a stall", () -> ring.hasUsed() || guest.count("stalls_of_host") > stalls);
      if (ring.hasUsed()) {
        ring.takeUsed();
        chains++;
      }
    }
    return chains;
  }

  /** The device is live, and a console takes a word. */
  private void assertWorks() throws IOException {
    try (SocketChannel client = guest.connect("hvc1")) {
      guest.transmit(tx(HVC1), ascii("works"));
      assertEquals("works", readText(client, 5));
    }
  }

  private void assertNeedsReset() {
    awaitUntil("DEVICE_NEEDS_RESET", () -> (guest.driver.status() & DeviceStatus.NEEDS_RESET) != 0);
  }

  // ---- Rules. ----

  @Test
  void isFoundByItsNumberAndTellsOfSizeAndPorts() {
    assertEquals(3, guest.driver.read(Register.DEVICE_ID));
    assertEquals(80, guest.transport.read(Register.CONFIG, 2));
    assertEquals(25, guest.transport.read(Register.CONFIG + 2, 2));
    assertEquals(3, guest.transport.read(Register.CONFIG + 4, 4));
    assertEquals(8, guest.device.queueSizes().size());
    guest.transport.write(Register.CONFIG, 2, 132);
    assertEquals(80, guest.transport.read(Register.CONFIG, 2));
  }

  @Nested
  class Handshake {
    @Test
    void tellsOfEachPortWhatTheDriverHasToKnow() {
      guest.start(guest.device.features());
      guest.offerBuffers(CONTROL_RX, 16);
      guest.say(Message.of(-1, DEVICE_READY, 1));
      for (int port = 0; port < 3; port++) {
        assertEquals(Message.of(port, DEVICE_ADD, 1), guest.hear());
      }
      guest.say(Message.of(HVC0, PORT_READY, 1));
      assertEquals(Message.of(HVC0, CONSOLE_PORT, 1), guest.hear());
      assertEquals(new Message(HVC0, PORT_NAME, 1, ByteString.copyFromUtf8("hvc0")), guest.hear());
      assertEquals(
          new Message(HVC0, RESIZE, 0, ByteString.copyFrom(new byte[] {80, 0, 25, 0})),
          guest.hear());
      guest.say(Message.of(HVC1, PORT_READY, 1));
      assertEquals(Message.of(HVC1, CONSOLE_PORT, 1), guest.hear());
      assertEquals(PORT_NAME, guest.hear().event());
      guest.say(Message.of(PIPE, PORT_READY, 1));
      assertEquals(
          new Message(PIPE, PORT_NAME, 1, ByteString.copyFromUtf8(PIPE_NAME)), guest.hear());
      assertFalse(guest.isTold());
    }

    @Test
    void tellsOfAClientThatWasThereBefore() throws IOException {
      guest.connect(PIPE_NAME);
      guest.start(guest.device.features());
      guest.offerBuffers(CONTROL_RX, 16);
      guest.awaitCount("clients", 1);
      guest.say(Message.of(-1, DEVICE_READY, 1));
      for (int port = 0; port < 3; port++) {
        guest.hear();
      }
      guest.say(Message.of(PIPE, PORT_READY, 1));
      assertEquals(PORT_NAME, guest.hear().event());
      assertEquals(Message.of(PIPE, PORT_OPEN, 1), guest.hear());
    }

    @Test
    void waitsForBuffersToTellIn() {
      guest.start(guest.device.features());
      guest.say(Message.of(-1, DEVICE_READY, 1));
      assertFalse(guest.isTold());
      guest.offerBuffers(CONTROL_RX, 1);
      for (int port = 0; port < 3; port++) {
        assertEquals(Message.of(port, DEVICE_ADD, 1), guest.hear());
      }
    }

    @Test
    void hearsOfADriverThatCouldNot() {
      guest.start(guest.device.features());
      guest.offerBuffers(CONTROL_RX, 16);
      guest.say(Message.of(-1, DEVICE_READY, 0));
      assertEquals(1, guest.count("driver_failures"));
      assertFalse(guest.isTold());
    }
  }

  @Nested
  class ADriverWithoutMultiport {
    @BeforeEach
    void start() {
      guest.start(WITHOUT_MULTIPORT);
      guest.offerBuffers(rx(HVC0), 16);
    }

    @Test
    void hasPortZeroBothWays() throws IOException {
      SocketChannel client = guest.connect("hvc0");
      guest.transmit(tx(HVC0), ascii("hello"));
      assertEquals("hello", readText(client, 5));
      write(client, ascii("world"));
      assertArrayEquals(ascii("world"), guest.receive(rx(HVC0)));
    }

    @Test
    void readsTheSizeOnceItIsToldThatThereIsOne() {
      assertEquals(2, guest.driver.takeInterrupt() & 2);
      int generation = guest.driver.read(Register.CONFIG_GENERATION);
      guest.device.resize(HVC0, new ConsoleSize(132, 43));
      assertEquals(2, guest.driver.takeInterrupt() & 2);
      assertEquals(132 | 43 << 16, guest.transport.read(Register.CONFIG, 4));
      assertFalse(generation == guest.driver.read(Register.CONFIG_GENERATION));
    }

    @Test
    void findsASizeThatChangedBeforeItCame() {
      guest.driver.reset();
      guest.device.resize(HVC0, new ConsoleSize(100, 30));
      assertEquals(100 | 30 << 16, guest.transport.read(Register.CONFIG, 4));
    }
  }

  @Nested
  class Output {
    @BeforeEach
    void open() {
      guest.open();
    }

    @Test
    void goesToTheClientOfItsPort() throws IOException {
      SocketChannel first = connected(HVC0, "hvc0");
      SocketChannel pipe = connected(PIPE, PIPE_NAME);
      guest.transmit(tx(PIPE), ascii("to the pipe"));
      guest.transmit(tx(HVC0), ascii("to hvc0"));
      assertEquals("to the pipe", readText(pipe, 11));
      assertEquals("to hvc0", readText(first, 7));
    }

    @Test
    void mayBeCutAnyhow() throws IOException {
      SocketChannel client = connected(PIPE, PIPE_NAME);
      long buffers = ConsoleGuest.buffer(tx(PIPE), 0);
      guest.memory.write(buffers, ascii("one, two, three"));
      guest
          .ring(tx(PIPE))
          .descriptor(0, buffers, 5, NEXT, 1)
          .descriptor(1, buffers + 5, 1, NEXT, 2)
          .descriptor(2, buffers + 6, 9, 0, 0)
          .offer(0);
      guest.notifyQueue(tx(PIPE));
      assertEquals(0, guest.awaitReturn(tx(PIPE)).written());
      assertEquals("one, two, three", readText(client, 15));
    }

    @Test
    void ofAConsoleIsKeptForTheNextClient() throws IOException {
      guest.transmit(tx(HVC0), ascii("before, "));
      SocketChannel client = connected(HVC0, "hvc0");
      guest.transmit(tx(HVC0), ascii("after"));
      assertEquals("before, after", readText(client, 13));
    }

    @Test
    void ofAConsoleIsKeptUpToABoundAndTheOldestDropped() throws IOException {
      int bytes = Port.KEPT_BYTES + 3 * BUFFER_BYTES;
      for (int at = 0; at < bytes; at += BUFFER_BYTES) {
        guest.transmit(tx(HVC0), pattern(at, BUFFER_BYTES));
      }
      assertEquals(3 * BUFFER_BYTES, guest.count("bytes_dropped"));
      SocketChannel client = connected(HVC0, "hvc0");
      assertArrayEquals(pattern(3 * BUFFER_BYTES, Port.KEPT_BYTES), read(client, Port.KEPT_BYTES));
    }

    @Test
    void ofAConsoleThatIsMoreThanIsKeptLeavesItsEnd() throws IOException {
      // 17 times the same page, and then a word.
      GuestRing ring = guest.ring(tx(HVC0));
      for (int i = 0; i < 17; i++) {
        ring.descriptor(i, ConsoleGuest.buffer(tx(HVC0), 0), BUFFER_BYTES, NEXT, i + 1);
      }
      long word = ConsoleGuest.buffer(tx(HVC0), 1);
      guest.memory.write(word, ascii("end"));
      ring.descriptor(17, word, 3, 0, 0).offer(0);
      guest.notifyQueue(tx(HVC0));
      guest.awaitReturn(tx(HVC0));
      assertEquals(BUFFER_BYTES + 3, guest.count("bytes_dropped"));
      SocketChannel client = connected(HVC0, "hvc0");
      byte[] kept = read(client, Port.KEPT_BYTES);
      assertEquals("end", new String(kept, kept.length - 3, 3, US_ASCII));
    }

    @Test
    void ofAPipeWithoutAClientIsDropped() throws IOException {
      guest.transmit(tx(PIPE), ascii("nobody"));
      assertEquals(6, guest.count("bytes_dropped"));
      SocketChannel client = connected(PIPE, PIPE_NAME);
      guest.transmit(tx(PIPE), ascii("somebody"));
      assertEquals("somebody", readText(client, 8));
    }

    @Test
    void ofAPipeWaitsForAClientThatDoesNotReadAndLosesNothing() throws IOException {
      SocketChannel client = connected(PIPE, PIPE_NAME);
      int chains = fillOutput(PIPE);
      assertFalse(guest.ring(tx(PIPE)).hasUsed());
      int bytes = (chains + 1) * BUFFER_BYTES;
      assertArrayEquals(pattern(0, bytes), read(client, bytes));
      guest.awaitReturn(tx(PIPE));
      assertEquals(0, guest.count("bytes_dropped"));
      assertEquals(bytes, guest.count("bytes_to_host"));
    }

    @Test
    void ofOnePortDoesNotWaitForAnothers() throws IOException {
      connected(PIPE, PIPE_NAME);
      fillOutput(PIPE);
      assertWorks();
    }

    @Test
    void ofAPipeWhoseClientGoesIsDropped() throws IOException {
      SocketChannel client = connected(PIPE, PIPE_NAME);
      fillOutput(PIPE);
      client.close();
      guest.awaitReturn(tx(PIPE));
      assertEquals(Message.of(PIPE, PORT_OPEN, 0), guest.hear());
      assertTrue(guest.count("bytes_dropped") > 0);
    }
  }

  @Nested
  class AConsoleClientThatStopsReading {
    private SocketChannel client;

    @BeforeEach
    void open() throws IOException {
      makeWith(Rules.USUAL.patience(Duration.ofMillis(50)));
      guest.open();
      client = connected(HVC0, "hvc0");
    }

    @Test
    void holdsTheGuestUpOnlySoLongAndMissesWhatIsOlder() throws IOException {
      int chains = fillOutput(HVC0);
      guest.awaitReturn(tx(HVC0)); // Patience is over.
      chains++;
      for (int i = 0; i < 32; i++, chains++) {
        guest.transmit(tx(HVC0), pattern(chains * BUFFER_BYTES, BUFFER_BYTES));
      }
      int dropped = (int) guest.count("bytes_dropped");
      assertTrue(dropped >= 16 * BUFFER_BYTES, "dropped " + dropped);
      byte[] all = pattern(0, chains * BUFFER_BYTES);
      byte[] seen = read(client, all.length - dropped);
      int early = seen.length - Port.KEPT_BYTES;
      assertArrayEquals(Arrays.copyOf(all, early), Arrays.copyOf(seen, early));
      assertArrayEquals(
          Arrays.copyOfRange(all, all.length - Port.KEPT_BYTES, all.length),
          Arrays.copyOfRange(seen, early, seen.length));
      assertFalse(hasBytes(client));
    }

    @Test
    void isWaitedForAgainOnceItReads() throws IOException {
      int chains = fillOutput(HVC0);
      guest.awaitReturn(tx(HVC0));
      int dropped = (int) guest.count("bytes_dropped");
      read(client, (chains + 1) * BUFFER_BYTES - dropped);
      guest.transmit(tx(HVC0), ascii("again"));
      assertEquals("again", readText(client, 5));
      assertEquals(dropped, guest.count("bytes_dropped"));
    }
  }

  @Nested
  class Input {
    @BeforeEach
    void open() {
      guest.open();
    }

    @Test
    void goesToTheGuestsPort() throws IOException {
      SocketChannel console = connected(HVC1, "hvc1");
      SocketChannel pipe = connected(PIPE, PIPE_NAME);
      write(console, ascii("typed"));
      assertArrayEquals(ascii("typed"), guest.receive(rx(HVC1)));
      write(pipe, ascii("piped"));
      assertArrayEquals(ascii("piped"), guest.receive(rx(PIPE)));
    }

    @Test
    void losesNothingHoweverMuchItIs() throws Exception {
      SocketChannel client = connected(PIPE, PIPE_NAME);
      byte[] all = pattern(0, 500_000);
      Thread writer =
          Thread.ofPlatform()
              .start(() -> {
                try {
                  write(client, all);
                } catch (IOException e) {
                  throw new AssertionError(e);
                }
              });
      assertArrayEquals(all, receive(PIPE, all.length));
      writer.join();
    }

    /** The socket's own buffer is all that the client gets rid of. */
    @Test
    void isLeftWithTheClientWhileTheGuestGivesNoBuffers() throws IOException {
      SocketChannel client = connected(PIPE, PIPE_NAME);
      client.configureBlocking(false);
      int written = 0;
      ByteBuffer chunk = ByteBuffer.wrap(pattern(0, BUFFER_BYTES));
      int attempts = 0;
      while (attempts < 3) {
        chunk.rewind();
        int count = client.write(chunk);
        written += count;
        if (count == 0) { // Full; the device has had its chance between.
          attempts++;
          long seen = guest.count("bytes_to_guest");
          awaitUntil("its buffers full", () -> guest.count("stalls_of_guest") > 0);
          assertTrue(seen <= 16 * BUFFER_BYTES);
        }
      }
      assertEquals(16 * BUFFER_BYTES, guest.count("bytes_to_guest"));
      assertEquals(1, guest.count("stalls_of_guest"));
      int taken = written;
      assertEquals(taken, receive(PIPE, taken).length);
    }

    @Test
    void waitsUntilSomebodyInTheGuestOpensThePort() throws IOException {
      guest.say(Message.of(PIPE, PORT_OPEN, 0));
      SocketChannel client = connected(PIPE, PIPE_NAME);
      write(client, ascii("early"));
      assertWorks(); // So it was looked at.
      assertFalse(guest.ring(rx(PIPE)).hasUsed());
      guest.say(Message.of(PIPE, PORT_OPEN, 1));
      assertArrayEquals(ascii("early"), guest.receive(rx(PIPE)));
    }

    @Test
    void fillsBuffersOfAnyShape() throws IOException {
      guest.driver.reset();
      guest.start(guest.device.features());
      SocketChannel client = guest.connect(PIPE_NAME);
      guest.offerBuffers(CONTROL_RX, 16);
      guest.say(Message.of(-1, DEVICE_READY, 1));
      guest.say(Message.of(PIPE, PORT_READY, 1));
      guest.say(Message.of(PIPE, PORT_OPEN, 1));
      long buffers = ConsoleGuest.buffer(rx(PIPE), 0);
      guest
          .ring(rx(PIPE))
          .descriptor(0, buffers, 3, NEXT | WRITE, 1)
          .descriptor(1, buffers + 100, 4, WRITE, 0)
          .offer(0);
      guest.notifyQueue(rx(PIPE));
      write(client, ascii("seven and more"));
      assertEquals(7, guest.awaitReturn(rx(PIPE)).written());
      byte[] second = new byte[4];
      guest.memory.read(buffers + 100, second);
      assertArrayEquals(ascii("en a"), second);
    }
  }

  @Nested
  class Clients {
    @BeforeEach
    void open() {
      guest.open();
    }

    @Test
    void comeAndGoAndTheGuestHearsOfIt() throws IOException {
      for (int i = 0; i < 3; i++) {
        SocketChannel client = connected(PIPE, PIPE_NAME);
        client.close();
        assertEquals(Message.of(PIPE, PORT_OPEN, 0), guest.hear());
      }
      assertEquals(3, guest.count("clients"));
      assertEquals("pipe, no client, open in the guest", guest.pipe());
    }

    @Test
    void haveAPortForThemselvesAndTheNextWaits() throws IOException {
      SocketChannel first = connected(PIPE, PIPE_NAME);
      SocketChannel second = guest.connect(PIPE_NAME);
      write(second, ascii("second"));
      write(first, ascii("first"));
      assertArrayEquals(ascii("first"), guest.receive(rx(PIPE)));
      assertEquals(1, guest.count("clients"));
      first.close();
      assertEquals(Message.of(PIPE, PORT_OPEN, 0), guest.hear());
      assertEquals(Message.of(PIPE, PORT_OPEN, 1), guest.hear());
      assertArrayEquals(ascii("second"), guest.receive(rx(PIPE)));
    }

    @Test
    void mayWriteAndBeGone() throws IOException {
      byte[] all = pattern(0, 100_000); // More than there are buffers for.
      try (SocketChannel client = guest.connect(PIPE_NAME)) {
        write(client, all);
      }
      assertArrayEquals(all, receive(PIPE, all.length));
      assertEquals(Message.of(PIPE, PORT_OPEN, 1), guest.hear());
      assertEquals(Message.of(PIPE, PORT_OPEN, 0), guest.hear());
    }

    @Test
    void mayEndTheirInputAndStillRead() throws IOException {
      SocketChannel client = connected(PIPE, PIPE_NAME);
      write(client, ascii("question"));
      client.shutdownOutput();
      assertArrayEquals(ascii("question"), guest.receive(rx(PIPE)));
      guest.transmit(tx(PIPE), ascii("answer"));
      assertEquals("answer", readText(client, 6));
      assertFalse(guest.isTold());
    }

    @Test
    void areFoundGoneThoughTheGuestTakesNothing() throws IOException {
      guest.say(Message.of(PIPE, PORT_OPEN, 0));
      SocketChannel client = connected(PIPE, PIPE_NAME);
      client.close();
      assertEquals(Message.of(PIPE, PORT_OPEN, 0), guest.hear());
    }

    @Test
    void areFoundGoneThoughTheyDidNotReadEverything() throws IOException {
      SocketChannel client = connected(PIPE, PIPE_NAME);
      guest.transmit(tx(PIPE), ascii("never read"));
      guest.say(Message.of(PIPE, PORT_OPEN, 0));
      client.close(); // Which is a reset of its connection.
      assertEquals(Message.of(PIPE, PORT_OPEN, 0), guest.hear());
    }

    @Test
    void thatAreGoneGiveWayToTheNextThoughTheGuestDoesNotTakeWhatTheyLeft() throws IOException {
      makeWith(Rules.USUAL.patience(Duration.ofMillis(50)));
      guest.open();
      guest.say(Message.of(PIPE, PORT_OPEN, 0));
      SocketChannel first = connected(PIPE, PIPE_NAME);
      write(first, ascii("never taken"));
      first.close();
      guest.connect(PIPE_NAME);
      assertEquals(Message.of(PIPE, PORT_OPEN, 0), guest.hear());
      assertEquals(Message.of(PIPE, PORT_OPEN, 1), guest.hear());
      assertEquals(1, guest.count("clients_cut_off"));
    }

    /** However often they come and go, what the driver is owed stays as much. */
    @Test
    void thatNobodyWasToldOfAreNotToldOf() throws IOException {
      guest.driver.reset();
      guest.start(guest.device.features());
      guest.say(Message.of(-1, DEVICE_READY, 1));
      guest.say(Message.of(PIPE, PORT_READY, 1)); // Added or not.
      for (int i = 1; i <= 20; i++) {
        guest.connect(PIPE_NAME).close();
        guest.awaitCount("clients", i);
        awaitUntil("it has gone", () -> guest.pipe().startsWith("pipe, no client"));
      }
      guest.offerBuffers(CONTROL_RX, 16);
      for (int port = 0; port < 3; port++) {
        assertEquals(Message.of(port, DEVICE_ADD, 1), guest.hear());
      }
      assertEquals(PORT_NAME, guest.hear().event());
      assertWorks();
      assertFalse(guest.isTold());
    }
  }

  @Nested
  class AReset {
    @BeforeEach
    void open() {
      guest.open();
    }

    @Test
    void leavesTheClientConnectedAndTheNextDriverHearsOfIt() throws IOException {
      SocketChannel client = connected(PIPE, PIPE_NAME);
      guest.transmit(tx(PIPE), ascii("one"));
      guest.driver.reset();
      guest.open();
      assertEquals(Message.of(PIPE, PORT_OPEN, 1), guest.hear());
      guest.transmit(tx(PIPE), ascii("two"));
      assertEquals("onetwo", readText(client, 6));
      write(client, ascii("three"));
      assertArrayEquals(ascii("three"), guest.receive(rx(PIPE)));
      assertEquals(1, guest.count("clients"));
    }

    @Test
    void forgetsWhatTheDriverHadSaid() throws IOException {
      guest.driver.reset();
      guest.start(guest.device.features());
      guest.offerBuffers(CONTROL_RX, 16);
      guest.offerBuffers(rx(PIPE), 16);
      SocketChannel client = guest.connect(PIPE_NAME);
      write(client, ascii("waits"));
      guest.awaitCount("clients", 1);
      assertWorks();
      assertFalse(guest.isTold());
      assertFalse(guest.ring(rx(PIPE)).hasUsed());
    }

    @Test
    void dropsOutputThatWaitsAndWritesNoRingAfterIt() throws IOException {
      SocketChannel client = connected(PIPE, PIPE_NAME);
      int chains = fillOutput(PIPE);
      int used = guest.ring(tx(PIPE)).usedIndex();
      guest.driver.reset();
      int early = read(client, chains * BUFFER_BYTES).length;
      assertEquals(chains * BUFFER_BYTES, early);
      guest.notifyQueue(tx(PIPE));
      guest.connect("hvc0"); // So that the thread has something to do.
      guest.awaitCount("clients", 2);
      assertEquals(used, guest.ring(tx(PIPE)).usedIndex());
    }

    @Test
    void givesBackAHeadThatWaited() throws IOException {
      SocketChannel client = connected(PIPE, PIPE_NAME);
      fillOutput(PIPE);
      int sent = (int) guest.count("bytes_to_host");
      guest.driver.reset();
      guest.open();
      assertEquals(PORT_OPEN, guest.hear().event());
      guest.offer(tx(PIPE), ascii("anew"));
      assertEquals(sent, read(client, sent).length);
      assertEquals("anew", readText(client, 4));
      guest.awaitReturn(tx(PIPE));
    }

    @Test
    void finishesWhileTheGuestWaitsForALimit() throws IOException {
      AtomicLong now = new AtomicLong();
      RateLimiter slow = new RateLimiter(new TokenBucket(1, 1, now::get), null);
      makeWith(new Rules(slow, slow, Duration.ofHours(1)));
      guest.open();
      guest.transmit(tx(HVC0), ascii("a thousand years"));
      guest.offer(tx(HVC0), ascii("and one"));
      awaitUntil("the limit", () -> guest.count("rate_limited") > 0);
      guest.driver.reset();
      assertEquals(0, guest.driver.status());
    }

    private void setUpAnew(int queue) {
      guest.ring(queue).clear();
      guest.driver.setUpQueue(queue, guest.ring(queue).setup());
    }

    /** VIRTIO 1.2, section 2.6.1: both rings begin anew, and the other queues are as they were. */
    @Test
    void ofATransmitQueueAloneDropsTheChainThatWaitsAndGoesOnInTheNewRing() throws IOException {
      SocketChannel client = connected(PIPE, PIPE_NAME);
      int chains = fillOutput(PIPE);
      guest.driver.resetQueue(tx(PIPE));
      int sent = (int) guest.count("bytes_to_host");
      assertEquals(sent, read(client, sent).length);
      assertWorks();
      assertEquals(chains, guest.ring(tx(PIPE)).usedIndex());
      setUpAnew(tx(PIPE));
      guest.transmit(tx(PIPE), ascii("anew"));
      assertEquals("anew", readText(client, 4));
      assertEquals(1, guest.ring(tx(PIPE)).usedIndex());
    }

    @Test
    void ofAReceiveQueueAloneLosesNothing() throws IOException {
      SocketChannel client = connected(PIPE, PIPE_NAME);
      write(client, ascii("one"));
      assertArrayEquals(ascii("one"), guest.receive(rx(PIPE)));
      guest.driver.resetQueue(rx(PIPE));
      write(client, ascii("two"));
      assertWorks();
      assertEquals(1, guest.ring(rx(PIPE)).usedIndex());
      setUpAnew(rx(PIPE));
      guest.offerBuffers(rx(PIPE), 4);
      assertArrayEquals(ascii("two"), guest.receive(rx(PIPE)));
      assertEquals(1, guest.ring(rx(PIPE)).usedIndex());
    }

    @Test
    void ofTheControlQueuesAloneKeepsWhatTheDriverIsOwedAndWhatItSaid() throws IOException {
      guest.driver.resetQueue(CONTROL_RX);
      guest.driver.resetQueue(CONTROL_TX);
      SocketChannel client = guest.connect(PIPE_NAME);
      guest.transmit(tx(HVC0), ascii("The ports are as they were."));
      setUpAnew(CONTROL_RX);
      setUpAnew(CONTROL_TX);
      guest.offerBuffers(CONTROL_RX, 4);
      assertEquals(Message.of(PIPE, PORT_OPEN, 1), guest.hear());
      guest.say(Message.of(PIPE, PORT_OPEN, 0));
      guest.say(Message.of(PIPE, PORT_OPEN, 1));
      assertEquals(0, guest.count("errors_sequence"));
      guest.transmit(tx(PIPE), ascii("open"));
      assertEquals("open", readText(client, 4));
    }

    @Test
    void ofAQueueStopsThatQueueAlone() throws IOException {
      guest.driver.write(Register.QUEUE_SEL, tx(HVC0));
      guest.driver.write(Register.QUEUE_READY, 0);
      guest.offer(tx(HVC0), ascii("unheard"));
      assertWorks();
      assertFalse(guest.ring(tx(HVC0)).hasUsed());
    }
  }

  /** As when there is no more memory. */
  @Nested
  class AnError {
    /** The device's clock fails once, when it is asked for the {@code call}th time from now on. */
    private void failAt(int call) {
      AtomicInteger left = new AtomicInteger(call);
      guest.clock =
          () -> {
            if (left.decrementAndGet() == 0) {
              throw new InternalError("as a test wants");
            }
            return System.nanoTime();
          };
    }

    /** The time of it is noted before the queues are served. */
    @Test
    void atTheEndOfAClientNeedsAResetWhichBringsTheDeviceBack() throws IOException {
      guest.open();
      SocketChannel client = connected(PIPE, PIPE_NAME);
      failAt(1);
      client.close();
      assertNeedsReset();
      assertEquals(1, guest.count("illegal.device_failure"));
      guest.driver.reset();
      guest.open();
      assertWorks();
    }

    @Test
    void withoutADriverIsCountedAndClientsAreServed() throws IOException {
      makeWith(Rules.USUAL.patience(Duration.ZERO));
      guest.open();
      guest.driver.reset();
      SocketChannel first = guest.connect(PIPE_NAME);
      guest.awaitCount("clients", 1);
      failAt(2); // Not at the end, but when another waits for the place.
      write(first, ascii("never taken"));
      first.close();
      guest.connect(PIPE_NAME);
      guest.awaitCount("errors_socket", 1);
      guest.connect("hvc1");
      guest.awaitCount("clients", 3);
      assertEquals(1, guest.count("clients_cut_off"));
      guest.open();
    }
  }

  @Nested
  class Resizing {
    @BeforeEach
    void open() {
      guest.open();
    }

    @Test
    void isToldByAMessageAndInTheConfiguration() {
      guest.device.resize(HVC0, new ConsoleSize(300, 200));
      assertEquals(
          new Message(HVC0, RESIZE, 0, ByteString.copyFrom(new byte[] {44, 1, -56, 0})),
          guest.hear());
      assertEquals(300 | 200 << 16, guest.transport.read(Register.CONFIG, 4));
    }

    @Test
    void ofAnotherPortLeavesTheConfigurationAsItIs() {
      guest.device.resize(HVC1, new ConsoleSize(40, 12));
      assertEquals(HVC1, guest.hear().id());
      assertEquals(80 | 25 << 16, guest.transport.read(Register.CONFIG, 4));
    }

    @Test
    void toTheSameSizeIsNotTold() {
      guest.device.resize(HVC0, new ConsoleSize(80, 25));
      guest.device.resize(HVC1, new ConsoleSize(1, 1));
      assertEquals(HVC1, guest.hear().id());
    }

    @Test
    void manyTimesTellsOfTheLast() throws IOException {
      guest.driver.reset();
      guest.start(guest.device.features());
      guest.say(Message.of(-1, DEVICE_READY, 1));
      guest.say(Message.of(HVC1, PORT_READY, 1));
      for (int i = 1; i <= 100; i++) {
        guest.device.resize(HVC1, new ConsoleSize(i, i));
      }
      guest.offerBuffers(CONTROL_RX, 16);
      Message last = guest.hear();
      while (last.event() != RESIZE) {
        last = guest.hear();
      }
      assertEquals(ByteString.copyFrom(new byte[] {100, 0, 100, 0}), last.more());
      assertEquals(Message.of(PIPE, DEVICE_ADD, 1), guest.hear());
      guest.connect("hvc1");
      assertEquals(Message.of(HVC1, PORT_OPEN, 1), guest.hear());
    }
  }

  @Nested
  class AnEmergencyWrite {
    private void writeEmergency(String text) {
      for (byte character : ascii(text)) {
        guest.transport.write(Register.CONFIG + 8, 4, 0xabcdef00L | character);
      }
    }

    @Test
    void needsNoDriver() throws IOException {
      writeEmergency("panic");
      assertEquals(5, guest.count("emergency_writes"));
      SocketChannel client = guest.connect("hvc0");
      guest.start(WITHOUT_MULTIPORT);
      assertEquals("panic", readText(client, 5));
    }

    @Test
    void goesToTheClientAtOnce() throws IOException {
      guest.open();
      SocketChannel client = connected(HVC0, "hvc0");
      guest.transmit(tx(HVC0), ascii("last words: "));
      guest.driver.reset();
      writeEmergency("panic");
      assertEquals("last words: panic", readText(client, 17));
    }

    @Test
    void isKeptUpToTheSameBound() {
      for (int i = 0; i < Port.KEPT_BYTES + 10; i++) {
        guest.transport.write(Register.CONFIG + 8, 1, 'x');
      }
      assertEquals(10, guest.count("bytes_dropped"));
    }
  }

  @Nested
  class Limits {
    private final AtomicLong now = new AtomicLong();

    private RateLimiter bytes(long perSecond) {
      return new RateLimiter(new TokenBucket(1, perSecond, now::get), null);
    }

    private RateLimiter operations(long perSecond) {
      return new RateLimiter(null, new TokenBucket(1, perSecond, now::get));
    }

    @Test
    void holdForBytesOfTheGuest() throws IOException {
      makeWith(new Rules(RateLimiter.UNLIMITED, bytes(1000), Duration.ofHours(1)));
      guest.open();
      guest.transmit(tx(HVC0), new byte[1000]);
      assertEquals(0, guest.count("rate_limited"), "nothing waits");
      guest.offer(tx(PIPE), ascii("later"));
      awaitUntil("the limit", () -> guest.count("rate_limited") > 0);
      connected(PIPE, PIPE_NAME); // The device looks again, and again finds the limit.
      assertFalse(guest.ring(tx(PIPE)).hasUsed());
      assertEquals(1, guest.count("rate_limited"), "once for all that waits together");
      now.set(1_000_000_000);
      guest.awaitReturn(tx(PIPE));
    }

    @Test
    void holdForOperationsOfTheGuest() throws IOException {
      makeWith(new Rules(RateLimiter.UNLIMITED, operations(1000), Duration.ofHours(1)));
      guest.open();
      guest.transmit(tx(HVC0), ascii("one"));
      guest.offer(tx(HVC0), ascii("two"));
      awaitUntil("the limit", () -> guest.count("rate_limited") > 0);
      assertFalse(guest.ring(tx(HVC0)).hasUsed());
      now.set(2_000_000);
      guest.awaitReturn(tx(HVC0));
    }

    @Test
    void holdForBytesToTheGuest() throws IOException {
      makeWith(new Rules(bytes(1000), RateLimiter.UNLIMITED, Duration.ofHours(1)));
      guest.open();
      SocketChannel client = connected(PIPE, PIPE_NAME);
      write(client, new byte[1000]);
      assertEquals(1000, guest.receive(rx(PIPE)).length);
      write(client, ascii("later"));
      awaitUntil("the limit", () -> guest.count("rate_limited") > 0);
      assertFalse(guest.ring(rx(PIPE)).hasUsed());
      now.set(1_000_000_000);
      assertArrayEquals(ascii("later"), guest.receive(rx(PIPE)));
    }
  }

  @Nested
  class Hostile {
    @BeforeEach
    void open() {
      guest.open();
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 4, 7})
    void aControlMessageThatIsTooShort(int length) throws IOException {
      guest.transmit(CONTROL_TX, new byte[length]);
      assertEquals(1, guest.count("errors_malformed"));
      assertWorks();
    }

    @Test
    void aControlMessageThatIsLongerIsHeardAsFarAsItGoes() throws IOException {
      SocketChannel client = connected(PIPE, PIPE_NAME);
      guest.say(Message.of(PIPE, PORT_OPEN, 0));
      write(client, ascii("x"));
      guest.say(new Message(PIPE, PORT_OPEN, 1, ByteString.copyFrom(new byte[1000])));
      assertArrayEquals(ascii("x"), guest.receive(rx(PIPE)));
    }

    @ParameterizedTest
    @ValueSource(ints = {DEVICE_ADD, 2, CONSOLE_PORT, RESIZE, PORT_NAME, 8, 0xffff})
    void aControlEventThatIsUnknownOrNotTheDrivers(int event) throws IOException {
      guest.say(Message.of(HVC0, event, 1));
      assertEquals(1, guest.count("errors_event"));
      assertWorks();
    }

    @ParameterizedTest
    @ValueSource(ints = {3, 16, 0x1_0000, Integer.MIN_VALUE, -1})
    void aPortThatIsOutOfRange(int id) throws IOException {
      guest.say(Message.of(id, PORT_READY, 1));
      guest.say(Message.of(id, PORT_OPEN, 1));
      assertEquals(2, guest.count("errors_port"));
      assertWorks();
    }

    @Test
    void aPortOpenedBeforeItIsReady() throws IOException {
      guest.driver.reset();
      guest.start(guest.device.features());
      guest.offerBuffers(rx(PIPE), 1);
      guest.say(Message.of(PIPE, PORT_OPEN, 1));
      assertEquals(1, guest.count("errors_sequence"));
      SocketChannel client = guest.connect(PIPE_NAME);
      write(client, ascii("no"));
      assertWorks();
      assertFalse(guest.ring(rx(PIPE)).hasUsed());
    }

    @Test
    void aPortReadyBeforeTheDevice() throws IOException {
      guest.driver.reset();
      guest.start(guest.device.features());
      guest.say(Message.of(PIPE, PORT_READY, 1));
      assertEquals(1, guest.count("errors_sequence"));
      assertWorks();
    }

    @Test
    void everythingReadyTwice() throws IOException {
      guest.say(Message.of(-1, DEVICE_READY, 1));
      guest.say(Message.of(HVC0, PORT_READY, 1));
      assertEquals(2, guest.count("errors_sequence"));
      assertFalse(guest.isTold());
      assertWorks();
    }

    @ParameterizedTest
    @ValueSource(ints = {0, 1, 7})
    void aControlBufferTooSmallForAMessage(int length) throws IOException {
      guest.driver.reset();
      guest.start(guest.device.features());
      guest.say(Message.of(-1, DEVICE_READY, 1));
      guest.offerBuffer(CONTROL_RX, 0, length);
      assertEquals(0, guest.awaitReturn(CONTROL_RX).written());
      assertEquals(1, guest.count(length == 0 ? "errors_descriptors" : "errors_malformed"));
      guest.offerBuffers(CONTROL_RX, 1);
      assertEquals(Message.of(HVC0, DEVICE_ADD, 1), guest.hear());
    }

    @Test
    void aControlBufferTooSmallForAName() throws IOException {
      guest.driver.reset();
      guest.start(guest.device.features());
      guest.offerBuffers(CONTROL_RX, 1);
      guest.say(Message.of(-1, DEVICE_READY, 1));
      for (int port = 0; port < 3; port++) {
        guest.hear();
      }
      guest.ring(CONTROL_RX).descriptor(0, ConsoleGuest.buffer(CONTROL_RX, 0), 8, WRITE, 0);
      guest.say(Message.of(PIPE, PORT_READY, 1));
      assertEquals(0, guest.awaitReturn(CONTROL_RX).written());
      guest.offerBuffers(CONTROL_RX, 1);
      assertEquals(ByteString.copyFromUtf8(PIPE_NAME), guest.hear().more());
    }

    @Test
    void writableBuffersToTransmit() throws IOException {
      for (int queue : new int[] {tx(HVC0), tx(PIPE), CONTROL_TX}) {
        guest.offerBuffer(queue, 0, BUFFER_BYTES);
        assertEquals(0, guest.awaitReturn(queue).written());
      }
      assertEquals(3, guest.count("errors_malformed"));
      assertWorks();
    }

    @Test
    void readableBuffersToReceive() throws IOException {
      guest.driver.reset();
      guest.start(guest.device.features());
      guest.offer(CONTROL_RX, new byte[64]);
      guest.say(Message.of(-1, DEVICE_READY, 1));
      assertEquals(0, guest.awaitReturn(CONTROL_RX).written());
      guest.offerBuffers(CONTROL_RX, 16);
      guest.say(Message.of(PIPE, PORT_READY, 1));
      guest.say(Message.of(PIPE, PORT_OPEN, 1));
      guest.offer(rx(PIPE), new byte[64]);
      SocketChannel client = guest.connect(PIPE_NAME);
      write(client, ascii("kept"));
      assertEquals(0, guest.awaitReturn(rx(PIPE)).written());
      assertEquals(2, guest.count("errors_malformed"));
      guest.offerBuffers(rx(PIPE), 1);
      assertArrayEquals(ascii("kept"), guest.receive(rx(PIPE)));
    }

    @Test
    void buffersOutsideMemory() throws IOException {
      SocketChannel client = connected(HVC0, "hvc0");
      for (long address : new long[] {RAM_END, RAM_END - 8, 0xd000_0000L, -8, Long.MAX_VALUE}) {
        guest.ring(tx(HVC0)).descriptor(0, address, 16, 0, 0).offer(0);
        guest.notifyQueue(tx(HVC0));
        guest.awaitReturn(tx(HVC0));
      }
      assertEquals(5, guest.count("errors_descriptors"));
      guest.transmit(tx(HVC0), ascii("fine"));
      assertEquals("fine", readText(client, 4));
    }

    @Test
    void aBufferOfNoBytes() throws IOException {
      guest.ring(tx(PIPE)).descriptor(0, ConsoleGuest.buffer(tx(PIPE), 0), 0, 0, 0).offer(0);
      guest.notifyQueue(tx(PIPE));
      guest.awaitReturn(tx(PIPE));
      assertEquals(1, guest.count("errors_descriptors"));
      assertWorks();
    }

    @Test
    void aReadableBufferAfterAWritableOne() throws IOException {
      long buffers = ConsoleGuest.buffer(tx(PIPE), 0);
      guest
          .ring(tx(PIPE))
          .descriptor(0, buffers, 8, NEXT | WRITE, 1)
          .descriptor(1, buffers, 8, 0, 0)
          .offer(0);
      guest.notifyQueue(tx(PIPE));
      guest.awaitReturn(tx(PIPE));
      assertEquals(1, guest.count("errors_descriptors"));
      assertWorks();
    }

    @Test
    void anIndirectTableOf65536Entries() throws IOException {
      guest.driver.reset();
      guest.start(guest.device.features());
      // RAM from 0 is one table: its first entry continues in itself.
      guest.ring(tx(HVC0)).descriptor(0, 0, ConsoleGuest.buffer(0, 0), 8, NEXT, 0);
      guest.ring(tx(HVC0)).descriptor(0, 0, 65_536 * 16L, INDIRECT, 0).offer(0);
      guest.notifyQueue(tx(HVC0));
      assertNeedsReset();
      assertEquals(1, guest.count("illegal.ring"));
      guest.open();
      assertWorks();
    }

    /** Neither a command nor a reset waits for a guest that always has more to write. */
    @Test
    void outputWithoutEndHoldsUpNobody() throws IOException {
      AtomicReference<Runnable> step = new AtomicReference<>(() -> {});
      TokenBucket bucket =
          new TokenBucket(
              1 << 30,
              1,
              () -> {
                requireNonNull(step.get()).run();
                return 0;
              });
      makeWith(
          new Rules(RateLimiter.UNLIMITED, new RateLimiter(null, bucket), Duration.ofHours(1)));
      guest.open();
      // Two looks at the clock for each of the sixteen chains of a turn, one for the other ports.
      Interloper interloper =
          new Interloper(2 * 16 + 2, () -> guest.device.resize(HVC0, new ConsoleSize(132, 43)));
      step.set(interloper::step);
      GuestRing ring = guest.ring(tx(PIPE));
      for (int head = 0; head < 64; head++) {
        ring.descriptor(head, ConsoleGuest.buffer(tx(PIPE), 0), 1, 0, 0).offer(head);
      }
      guest.notifyQueue(tx(PIPE));
      assertTrue(interloper.wasInTime());
    }

    @Test
    void aChainThatLoops() throws IOException {
      long buffer = ConsoleGuest.buffer(CONTROL_TX, 0);
      guest.ring(CONTROL_TX).descriptor(0, buffer, 8, NEXT, 0).offer(0);
      guest.notifyQueue(CONTROL_TX);
      assertNeedsReset();
      guest.open();
      assertWorks();
    }

    @Test
    void anAvailableIndexThatJumps() throws IOException {
      guest.ring(tx(PIPE)).moveIndexTo(1000);
      guest.notifyQueue(tx(PIPE));
      assertNeedsReset();
      guest.open();
      assertWorks();
    }

    @Test
    void featuresThatWereNotOffered() {
      guest.driver.reset();
      guest.driver.negotiate(guest.device.features() | 1 << 3);
      assertEquals(0, guest.driver.status() & DeviceStatus.FEATURES_OK);
      assertEquals(Virtqueue.FEATURES | 7, guest.driver.deviceFeatures() & 0xffff_ffffL);
    }
  }
}

package dev.vireo.linux;

import static java.nio.charset.StandardCharsets.US_ASCII;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

@Timeout(20)
final class StreamSocketTest {
  @TempDir private Path directory;

  private final StreamSocket calls = new StreamSocket();
  private final Arena arena = Arena.ofConfined();
  private final MemorySegment vector = arena.allocate(32, 8);
  private final List<AutoCloseable> owned = new ArrayList<>();
  private UnixListener listener;
  private String path;

  @BeforeEach
  void listen() {
    path = directory.resolve("socket").toString();
    listener = own(UnixListener.bind(path, 1));
    listener.fd().setNonBlocking();
  }

  @AfterEach
  void close() throws Exception {
    for (AutoCloseable each : owned.reversed()) {
      each.close();
    }
    arena.close();
  }

  private <T extends AutoCloseable> T own(T resource) {
    owned.add(resource);
    return resource;
  }

  /** Both ends of a connection. */
  private record Connected(Fd ours, Fd theirs) {}

  private Connected connected() {
    Fd theirs = own(StreamSocket.connect(path));
    return new Connected(own(Fd.owning(calls.accept(listener.fd()))), theirs);
  }

  private MemorySegment bytes(String text) {
    return arena.allocateFrom(text, US_ASCII).asSlice(0, text.length());
  }

  private long pointTo(MemorySegment... buffers) {
    for (int i = 0; i < buffers.length; i++) {
      vector.set(ValueLayout.JAVA_LONG, 16L * i, buffers[i].address());
      vector.set(ValueLayout.JAVA_LONG, 16L * i + 8, buffers[i].byteSize());
    }
    return vector.address();
  }

  private static String text(MemorySegment bytes, long length) {
    return new String(bytes.asSlice(0, length).toArray(ValueLayout.JAVA_BYTE), US_ASCII);
  }

  @Test
  void bytesGoBothWaysInPieces() {
    Connected pair = connected();
    assertEquals(5, calls.send(pair.theirs, pointTo(bytes("he"), bytes("llo")), 2));
    MemorySegment start = arena.allocate(1);
    MemorySegment rest = arena.allocate(10);
    assertEquals(5, calls.receive(pair.ours, pointTo(start, rest), 2));
    assertEquals("hello", text(start, 1) + text(rest, 4));
    assertEquals(3, calls.send(pair.ours, pointTo(bytes("you")), 1));
    assertEquals(3, calls.receive(pair.theirs, pointTo(rest), 1));
  }

  @Test
  void aPeekLeavesTheBytes() {
    Connected pair = connected();
    calls.send(pair.theirs, pointTo(bytes("abc")), 1);
    MemorySegment buffer = arena.allocate(2);
    assertEquals(2, calls.peek(pair.ours, pointTo(buffer), 1));
    assertEquals("ab", text(buffer, 2));
    assertEquals(2, calls.receive(pair.ours, pointTo(buffer), 1));
    assertEquals("ab", text(buffer, 2));
  }

  @Test
  void nothingWaits() {
    assertEquals(-Errno.EAGAIN, calls.accept(listener.fd()));
    Connected pair = connected();
    MemorySegment buffer = arena.allocate(1 << 16);
    assertEquals(-Errno.EAGAIN, calls.receive(pair.ours, pointTo(buffer), 1));
    long sent = 0;
    for (long count = 1; count > 0; sent += Math.max(count, 0)) {
      count = calls.send(pair.ours, pointTo(buffer), 1);
      assertTrue(count > 0 || count == -Errno.EAGAIN, () -> "after some: " + vector);
    }
    assertTrue(sent > 0);
  }

  @Test
  void theEndIsSeenAndNoSignalComes() {
    Connected pair = connected();
    calls.shutdown(pair.theirs, StreamSocket.SHUT_SENDING);
    MemorySegment buffer = bytes("x");
    assertEquals(StreamSocket.END, calls.receive(pair.ours, pointTo(buffer), 1));
    assertEquals(1, calls.send(pair.ours, pointTo(buffer), 1), "the other half is open");
    pair.theirs.close();
    assertEquals(-Errno.EPIPE, calls.send(pair.ours, pointTo(buffer), 1));
  }

  @Test
  void whoeverIsToldToReceiveNoMoreCannotBeSentTo() {
    Connected pair = connected();
    calls.shutdown(pair.ours, StreamSocket.SHUT_RECEIVING);
    assertEquals(-Errno.EPIPE, calls.send(pair.theirs, pointTo(bytes("x")), 1));
  }

  @Test
  void connectingDoesNotWait() throws Exception {
    own(StreamSocket.connect(path));
    own(StreamSocket.connect(path));
    assertRefused(Errno.EAGAIN, path);
    assertRefused(Errno.ENOENT, directory.resolve("nobody").toString());
    Path deep = Files.createDirectories(directory.resolve("x".repeat(100)));
    own(UnixListener.bind(deep.resolve("socket").toString(), 1));
    own(StreamSocket.connect(deep.resolve("socket").toString()));
    listener.close();
    assertRefused(Errno.ECONNREFUSED, path);
  }

  private static void assertRefused(int errno, String path) {
    var refusal = assertThrows(LinuxException.class, () -> StreamSocket.connect(path).close());
    assertEquals(errno, refusal.errno());
  }

  @Test
  void anEdgeIsToldOnce() {
    Connected pair = connected();
    try (Poller poller = new Poller(4)) {
      poller.add(pair.ours, Poller.READABLE | Poller.EDGE_TRIGGERED, -7);
      assertEquals(0, poller.await(0));
      calls.send(pair.theirs, pointTo(bytes("a")), 1);
      assertEquals(1, poller.await(-1));
      assertEquals(-7, poller.key(0));
      assertEquals(0, poller.await(0), "it is still readable, which is no news");
      calls.send(pair.theirs, pointTo(bytes("b")), 1);
      assertEquals(1, poller.await(-1));
      pair.theirs.close();
      assertEquals(1, poller.await(-1));
      assertTrue((poller.readiness(0) & Poller.HANG_UP) != 0);
    }
  }

  @Test
  void whatIsWatchedForCanChange() {
    Connected pair = connected();
    try (Poller poller = new Poller(4)) {
      poller.add(pair.ours, Poller.READABLE | Poller.EDGE_TRIGGERED, 1);
      assertEquals(0, poller.await(0));
      poller.modify(pair.ours, Poller.READABLE | Poller.WRITABLE | Poller.EDGE_TRIGGERED, 2);
      assertEquals(1, poller.await(0));
      assertEquals(2, poller.key(0));
      assertEquals(Poller.WRITABLE, poller.readiness(0));
    }
  }

  @Test
  void anEventFdNeedNotBeDrainedToBeToldOfAgain() {
    try (Poller poller = new Poller(4);
        EventFd event = EventFd.blocking()) {
      poller.add(event.fd(), Poller.READABLE | Poller.EDGE_TRIGGERED, 1);
      for (int i = 0; i < 3; i++) {
        event.signal();
        assertEquals(1, poller.await(-1));
        assertEquals(0, poller.await(0));
      }
    }
  }
}

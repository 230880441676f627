package dev.vireo.linux;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** {@link Fd}, {@link EventFd}, {@link Poller}, {@link PollSet}, {@link MemoryMapping}. */
@Timeout(20)
final class DescriptorsTest {
  @Test
  void aClosedDescriptorIsNotUsedAndClosesOnce() {
    Fd fd = Fd.memory("closed", 1);
    int number = fd.number();
    fd.close();
    try (Fd successor = Fd.memory("successor", 2)) {
      assertEquals(number, successor.number(), "Linux gives the lowest number");
      fd.close();
      assertEquals(2, successor.size());
    }
    assertThrows(IllegalStateException.class, fd::size);
  }

  @Test
  void typeAndSize(@TempDir Path directory) {
    try (Fd folder = Fd.open(directory.toString(), Fd.O_RDONLY | Fd.O_DIRECTORY);
        Fd file = Fd.open(directory + "/file", Fd.O_RDWR | Fd.O_CREAT, 0600);
        Fd device = Fd.open("/dev/null", Fd.O_RDWR);
        EventFd event = EventFd.blocking()) {
      file.truncate(4097);
      assertEquals(Fd.Type.DIRECTORY, folder.type());
      assertEquals(Fd.Type.REGULAR, file.type());
      assertEquals(4097, file.size());
      assertEquals(Fd.Type.CHARACTER_DEVICE, device.type());
      assertEquals(Fd.Type.ANONYMOUS, event.fd().type());
    }
  }

  @Test
  void readAndWriteAtOffsets() {
    byte[] text = "guest".getBytes(StandardCharsets.US_ASCII);
    try (Fd fd = Fd.memory("file", 0);
        Arena arena = Arena.ofConfined()) {
      fd.writeFully(text, 3);
      MemorySegment back = arena.allocate(10);
      assertEquals(5, fd.readFully(back, 3));
      assertEquals('g', back.get(ValueLayout.JAVA_BYTE, 0));
      assertThrows(IllegalArgumentException.class, () -> fd.read(MemorySegment.ofArray(text)));
    }
  }

  @Test
  void anErrorNamesTheCallAndErrno() {
    LinuxException e =
        assertThrows(LinuxException.class, () -> Fd.open("/no/such/file", Fd.O_RDONLY));
    assertEquals(Errno.ENOENT, e.errno());
    assertEquals("open /no/such/file: ENOENT, no such file or directory (2)", e.getMessage());
  }

  @Test
  void drainTellsWhetherThereWasASignal() {
    try (EventFd event = EventFd.nonBlocking()) {
      assertFalse(event.drain());
      event.signal();
      event.signal();
      assertTrue(event.drain());
      assertFalse(event.drain());
    }
  }

  @Test
  void blockingDrainWaits() throws Exception {
    try (EventFd event = EventFd.blocking()) {
      CompletableFuture<Boolean> drained = CompletableFuture.supplyAsync(event::drain);
      assertFalse(drained.isDone());
      event.signal();
      assertTrue(drained.get(10, TimeUnit.SECONDS));
    }
  }

  @Test
  void pollerTellsWhichDescriptorIsReady() {
    try (Poller poller = new Poller(4);
        EventFd one = EventFd.nonBlocking();
        EventFd two = EventFd.nonBlocking()) {
      poller.add(one.fd(), Poller.READABLE, 1);
      poller.add(two.fd(), Poller.READABLE, 2);
      assertEquals(0, poller.await(0));
      two.signal();
      assertEquals(1, poller.await(-1));
      assertEquals(2, poller.key(0));
      assertEquals(Poller.READABLE, poller.readiness(0));
      one.signal();
      assertEquals(2, poller.await(-1));
      assertEquals(3, poller.key(0) + poller.key(1));
      poller.remove(two.fd());
      assertEquals(1, poller.await(-1));
      assertEquals(1, poller.key(0));
    }
  }

  @Test
  void pollSetWaitsForWhatItIsToldTo() {
    try (EventFd one = EventFd.nonBlocking();
        EventFd two = EventFd.nonBlocking()) {
      PollSet set = new PollSet(one.fd(), two.fd());
      one.signal();
      set.await(0);
      assertEquals(0, set.readiness(0), "nothing is watched at first");
      set.watch(0, PollSet.READABLE);
      set.watch(1, (short) (PollSet.READABLE | PollSet.WRITABLE));
      set.await(-1);
      assertEquals(PollSet.READABLE, set.readiness(0));
      assertEquals(PollSet.WRITABLE, set.readiness(1));
      set.watch(0, PollSet.NOTHING);
      two.signal();
      set.await(-1);
      assertEquals(0, set.readiness(0));
      assertEquals(PollSet.READABLE | PollSet.WRITABLE, set.readiness(1));
    }
  }

  @Test
  void nobodyChangesTheLengthOfSealedMemory() {
    try (Fd file = Fd.sealedMemory("sealed", 8192)) {
      assertEquals(8192, file.size());
      assertThrows(LinuxException.class, () -> file.truncate(4096));
      assertThrows(LinuxException.class, () -> file.truncate(12_288));
      file.allocate(Fd.FALLOC_FL_PUNCH_HOLE | Fd.FALLOC_FL_KEEP_SIZE, 0, 4096);
      assertEquals(8192, file.size());
    }
  }

  @Test
  void sharedMappingsSeeEachOther() {
    try (Fd file = Fd.memory("shared", 8192);
        MemoryMapping whole = MemoryMapping.shared(file, 0, 8192);
        MemoryMapping second = MemoryMapping.shared(file, 4096, 4096)) {
      whole.segment().set(ValueLayout.JAVA_LONG, 4096, 42);
      assertEquals(42, second.segment().get(ValueLayout.JAVA_LONG, 0));
      assertThrows(
          IndexOutOfBoundsException.class, () -> second.segment().get(ValueLayout.JAVA_LONG, 4096));
    }
  }
}

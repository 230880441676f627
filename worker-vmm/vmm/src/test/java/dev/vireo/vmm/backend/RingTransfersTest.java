package dev.vireo.vmm.backend;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.kenai.jffi.LastError;
import dev.vireo.linux.Errno;
import dev.vireo.linux.Fd;
import dev.vireo.linux.IoUring;
import dev.vireo.linux.Linux;
import dev.vireo.linux.LinuxException;
import dev.vireo.vmm.memory.GuestMemory;
import dev.vireo.vmm.memory.GuestMemory.Region;
import dev.vireo.vmm.memory.IoVector;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** Transfers of a file of zeroes, with this machine's kernel. */
@Timeout(30)
class RingTransfersTest {
  private static final int ENTER = 426;

  @TempDir private Path directory;

  private final GuestMemory memory =
      new GuestMemory(List.of(new Region(0, Arena.ofAuto().allocate(0x1_0000, 4096))));
  private boolean refusing;

  private final FakeLibc libc =
      new FakeLibc((function, arguments) -> {
        if (!refusing || !function.equals("syscall") || (long) arguments[0] != ENTER) {
          return null;
        }
        LastError.getInstance().set(Errno.ENOMEM);
        return -1L;
      });

  private static IoUring ring(RawFile file, int operations) {
    try {
      return file.newRing(operations);
    } catch (LinuxException e) {
      return Assumptions.abort("no io_uring here: " + e.getMessage());
    }
  }

  private static void read(RingTransfers transfers) {
    int slot = transfers.next();
    transfers.emptyVector(slot, 1).add(0, 512);
    transfers.read(slot, 0);
  }

  /** Otherwise a reset, which waits until nothing is under way, would wait for ever. */
  @Test
  void oneThatCannotBeginIsNotUnderWay() {
    try (RawFile file =
            new RawFile(libc.libc(), Fd.memory("disk", 4096), null, DiskGeometry.ofFile(4096));
        IoUring ring = ring(file, 2);
        RingTransfers transfers = new RingTransfers(file, ring, memory, 4)) {
      read(transfers);
      read(transfers);
      refusing = true;
      assertThrows(LinuxException.class, () -> read(transfers), "the ring is full");
      assertThrows(LinuxException.class, () -> transfers.flush(transfers.next()));
      assertEquals(2, transfers.underWay());
      refusing = false;
      ring.submit(2);
      while (ring.hasCompletion()) {
        int slot = (int) ring.tag();
        assertEquals(RawFile.OK, transfers.take(slot, ring.result()));
        ring.advance();
        transfers.release(slot);
      }
      assertEquals(0, transfers.underWay());
      read(transfers);
      assertEquals(1, transfers.underWay());
      ring.submit(1);
    }
  }

  private static int readInPieces(RingTransfers transfers, int pieces) {
    int slot = transfers.next();
    IoVector vector = transfers.emptyVector(slot, pieces);
    for (int i = 0; i < pieces; i++) {
      vector.add(4L * i, 4);
    }
    transfers.read(slot, 0);
    return slot;
  }

  private static void takeOne(RingTransfers transfers, IoUring ring) {
    ring.submit(1);
    assertTrue(ring.hasCompletion());
    int slot = (int) ring.tag();
    int result = transfers.take(slot, ring.result());
    ring.advance();
    if (result != RingTransfers.PENDING) {
      assertEquals(RawFile.OK, result);
      transfers.release(slot);
    }
  }

  /** What a guest may have under way must not make the VMM grow beyond what its node gives it. */
  @Test
  void thereIsRoomForSoManyLargeOnesAndForNoMore() {
    int slots = 256;
    try (RawFile file =
            new RawFile(libc.libc(), Fd.memory("disk", 4096), null, DiskGeometry.ofFile(4096));
        IoUring ring = ring(file, slots);
        RingTransfers transfers = new RingTransfers(file, ring, memory, slots)) {
      for (int i = 0; i < slots - RingTransfers.MOST_LARGE; i++) {
        readInPieces(transfers, RingTransfers.FEW);
      }
      for (int i = 0; i < RingTransfers.MOST_LARGE; i++) {
        assertTrue(transfers.mayBegin());
        readInPieces(transfers, slots);
      }
      assertFalse(transfers.mayBegin());
      assertEquals(slots, transfers.underWay());
      while (transfers.underWay() > 0) {
        takeOne(transfers, ring);
      }
      for (int i = 0; i < RingTransfers.MOST_LARGE; i++) {
        assertTrue(transfers.mayBegin(), "there is room again");
        readInPieces(transfers, slots);
      }
      assertFalse(transfers.mayBegin());
      while (transfers.underWay() > 0) {
        takeOne(transfers, ring);
      }
    }
    assertEquals(34 << 20, 16 * 16 * RingTransfers.bytes(slots), "of 16 disks of 16 queues");
  }

  /** Each goes on with its own buffers, in a small place and in a large one. */
  @Test
  void thoseThatComeInPartsGoOnWhereTheyWere() throws IOException, InterruptedException {
    Path path = directory.resolve("pipe");
    assertEquals(0, new ProcessBuilder("mkfifo", path.toString()).start().waitFor());
    try (Fd host = Fd.open(path.toString(), Fd.O_RDWR);
        RawFile file = new RawFile(libc.libc(), host.duplicate(), null, DiskGeometry.ofFile(4096));
        IoUring ring = ring(file, 4);
        RingTransfers transfers = new RingTransfers(file, ring, memory, 64)) {
      for (int pieces : new int[] {1, 8, 40}) {
        memory.write(0, new byte[256]);
        readInPieces(transfers, pieces);
        byte[] expected = new byte[4 * pieces];
        for (int done = 0; done < expected.length; done++) {
          expected[done] = (byte) (done + pieces);
          write(host, expected[done]);
          takeOne(transfers, ring);
        }
        assertEquals(0, transfers.underWay());
        byte[] got = new byte[expected.length];
        memory.read(0, got);
        assertArrayEquals(expected, got);
      }
    }
  }

  private static void write(Fd host, byte value) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment bytes = arena.allocate(1).fill(value);
      assertEquals(1, Linux.libc().write(host.number(), bytes.address(), 1));
    }
  }
}

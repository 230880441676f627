package dev.vireo.vmm.backend;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import com.kenai.jffi.LastError;
import dev.vireo.linux.Errno;
import dev.vireo.linux.Fd;
import dev.vireo.linux.IoUring;
import dev.vireo.linux.LinuxException;
import dev.vireo.vmm.memory.GuestMemory;
import dev.vireo.vmm.memory.GuestMemory.Region;
import java.lang.foreign.Arena;
import java.util.List;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** Transfers of a file of zeroes, with this machine's kernel. */
@Timeout(30)
class RingTransfersTest {
  private static final int ENTER = 426;

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
        IoUring ring = ring(file, 2)) {
      RingTransfers transfers = new RingTransfers(file, ring, memory, 4);
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
}

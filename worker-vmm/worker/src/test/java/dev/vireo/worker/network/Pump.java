package dev.vireo.worker.network;

import dev.vireo.linux.Errno;
import dev.vireo.linux.Fd;
import dev.vireo.linux.LinuxException;
import dev.vireo.linux.PollSet;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/** Carries frames from one tap interface to another, as a VMM does between a node's and a guest. */
final class Pump implements AutoCloseable {
  private static final int LARGEST_FRAME = 1 << 16;
  private static final int POLL_MS = 20;

  private final Thread thread;
  private volatile boolean stopped;

  Pump(Fd from, Fd to) {
    this.thread = Thread.ofPlatform().daemon().start(() -> run(from, to));
  }

  private void run(Fd from, Fd to) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment frame = arena.allocate(LARGEST_FRAME);
      PollSet poll = new PollSet(from);
      poll.watch(0, PollSet.READABLE);
      while (!stopped) {
        poll.await(POLL_MS);
        if (poll.readiness(0) != 0) {
          carry(from, to, frame);
        }
      }
    }
  }

  private static void carry(Fd from, Fd to, MemorySegment frame) {
    try {
      int length = from.read(frame);
      var _ = to.write(frame.asSlice(0, length));
    } catch (LinuxException e) {
      // EIO: the interface is not up yet, and what comes for it is lost.
      if (e.errno() != Errno.EAGAIN && e.errno() != Errno.EIO) {
        throw e;
      }
    }
  }

  @Override
  public void close() {
    stopped = true;
    try {
      thread.join();
    } catch (InterruptedException e) {
      throw new AssertionError(e);
    }
  }
}

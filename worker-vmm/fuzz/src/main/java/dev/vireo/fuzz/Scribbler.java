package dev.vireo.fuzz;

import dev.vireo.vmm.memory.GuestMemory;
import java.util.concurrent.SynchronousQueue;
import org.jspecify.annotations.Nullable;

/**
 * Another vCPU, which writes to rings while the device reads them. Or the same one, which does it
 * before it goes on: then a program does the same each time.
 */
final class Scribbler {
  private record Job(GuestMemory memory, long ring, int count, int seed) {}

  private final boolean beside;
  private final SynchronousQueue<Job> jobs = new SynchronousQueue<>();
  private final Object lock = new Object();
  private @Nullable Throwable failure;
  private boolean busy;

  /**
   * @param beside the device, on a thread of its own
   */
  Scribbler(boolean beside) {
    this.beside = beside;
    if (beside) {
      Thread.ofPlatform().name("scribbler").daemon().start(this::work);
    }
  }

  boolean isBeside() {
    return beside;
  }

  private void work() {
    while (true) {
      try {
        write(jobs.take());
      } catch (InterruptedException e) {
        return;
      } catch (RuntimeException e) {
        failure = e;
      }
      synchronized (lock) {
        busy = false;
        lock.notifyAll();
      }
    }
  }

  void scribble(GuestMemory memory, long ring, int count, int seed) {
    Job job = new Job(memory, ring, count, seed);
    if (!beside) {
      write(job);
      return;
    }
    await();
    synchronized (lock) {
      busy = true;
    }
    try {
      jobs.put(job);
    } catch (InterruptedException e) {
      throw new IllegalStateException("nobody interrupts the fuzzer", e);
    }
  }

  /** Mostly to the first descriptors and to the available ring's first entries. */
  private static void write(Job job) {
    int random = job.seed;
    for (int i = 0; i < job.count; i++) {
      random = random * 1_103_515_245 + 12_345;
      int place = random >>> 16 & 0x3f;
      long area = (random & 1 << 30) == 0 ? 0 : GuestLayout.AVAILABLE;
      job.memory.putShort(job.ring + area + 2L * place, (short) (random >>> 8 & 0x107));
    }
  }

  /** Until it has written all. */
  void await() {
    synchronized (lock) {
      while (busy) {
        try {
          lock.wait();
        } catch (InterruptedException e) {
          throw new IllegalStateException("nobody interrupts the fuzzer", e);
        }
      }
    }
    if (failure != null) {
      throw new IllegalStateException(failure);
    }
  }

  /** After each operation: the device comes to rest before the next, unless they are to race. */
  void awaitUnlessBeside(DeviceUnderTest device) {
    if (!beside) {
      device.awaitRest();
    }
  }
}

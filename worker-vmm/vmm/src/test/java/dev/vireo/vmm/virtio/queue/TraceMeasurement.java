package dev.vireo.vmm.virtio.queue;

import dev.vireo.vmm.trace.TraceFilter;
import dev.vireo.vmm.trace.TracePoint;
import dev.vireo.vmm.trace.TraceRecord;
import dev.vireo.vmm.trace.TraceRing;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/**
 * Measures what a trace costs a queue's thread for each chain that it takes and returns: off, on
 * with everything filtered out, on, and on with the ring full. For developers: {@code java -cp
 * <test class path> -XX:TieredStopAtLevel=1 dev.vireo.vmm.virtio.queue.TraceMeasurement}.
 */
final class TraceMeasurement {
  private static final int SIZE = 256;
  private static final int ROUNDS = 15;
  private static final int CHAINS = 1_000_000;

  private final TracePoint<QueueRecorder> point = new TracePoint<>();
  private final GuestRing guest = new GuestRing(SIZE);
  private final Virtqueue queue = new Virtqueue(guest.memory(), guest.setup(), 0, point);
  private final DescriptorChain chain = new DescriptorChain(guest.memory(), SIZE);
  private final TraceRecord record = new TraceRecord();
  private final TraceRing ring = new TraceRing();

  private TraceMeasurement() {
    for (int head = 0; head < SIZE; head++) {
      guest.descriptor(head, GuestRing.BUFFERS, 512, 0, 0);
    }
  }

  @SuppressWarnings("SystemOut") // A program that prints.
  public static void main(String[] arguments) {
    TraceMeasurement measurement = new TraceMeasurement();
    double[][] nanos = new double[4][ROUNDS];
    for (int round = 0; round < ROUNDS; round++) { // Taking turns, for the machine is not ours.
      nanos[0][round] = measurement.nanosPerChain(null, false);
      nanos[1][round] = measurement.nanosPerChain(measurement.recorder(Long.MAX_VALUE), true);
      nanos[2][round] = measurement.nanosPerChain(measurement.recorder(0), true);
      nanos[3][round] = measurement.nanosPerChain(measurement.recorder(0), false);
    }
    String[] names = {"off", "on, nothing wanted", "on", "on, full"};
    for (int i = 0; i < names.length; i++) {
      Arrays.sort(nanos[i]);
      System.out.printf(
          "%-20s least %6.1f ns, median %6.1f ns a chain%n",
          names[i], nanos[i][0], nanos[i][ROUNDS / 2]);
    }
  }

  private QueueRecorder recorder(long slowerThanNanos) {
    return new QueueRecorder(
        ring,
        new TraceFilter(false, true, "", slowerThanNanos),
        System::nanoTime,
        new RequestSource() {},
        guest.memory(),
        0,
        0,
        SIZE);
  }

  /** Without the driver's part, and without the reader's. */
  private double nanosPerChain(@Nullable QueueRecorder recorder, boolean reads) {
    point.set(recorder);
    long sum = 0;
    for (int done = 0; done < CHAINS; done += SIZE) {
      for (int head = 0; head < SIZE; head++) {
        guest.offer(head);
      }
      long start = System.nanoTime();
      while (queue.pop(chain)) {
        queue.complete(chain, 512);
      }
      sum += System.nanoTime() - start;
      while (reads && ring.take(record)) {
        // Makes room.
      }
    }
    return (double) sum / (Math.ceilDiv(CHAINS, SIZE) * SIZE);
  }
}

package dev.vireo.vmm.virtio.console;

import dev.vireo.linux.StreamSocket;
import dev.vireo.vmm.backend.RateLimiter;
import dev.vireo.vmm.virtio.EnumCounters;
import java.lang.foreign.MemorySegment;
import java.util.function.LongSupplier;

/**
 * What all ports of a device share. Whoever uses it holds the device's lock.
 *
 * @param sockets calls on the clients' sockets
 * @param byteOfOurs to peek into
 * @param counters of the device
 * @param toGuest limits what comes to the guest, by all ports together
 * @param toHost limits what the guest writes, likewise
 * @param alarm wakes the device's thread
 * @param nanoTime a monotonic clock
 * @param patienceNanos how long one that does not take what it is sent may hold up the other side,
 *     where that cannot wait for ever
 */
record ConsoleContext(
    StreamSocket sockets,
    MemorySegment byteOfOurs,
    EnumCounters<ConsoleEvent> counters,
    RateLimiter toGuest,
    RateLimiter toHost,
    Alarm alarm,
    LongSupplier nanoTime,
    long patienceNanos) {
  void count(ConsoleEvent event) {
    counters.increment(event);
  }

  void count(ConsoleEvent event, long amount) {
    counters.add(event, amount);
  }

  long now() {
    return nanoTime.getAsLong();
  }

  /**
   * Whether it has to be waited for a limit; then the alarm is set.
   *
   * @param before whether it was waited for already
   */
  boolean isLimited(RateLimiter limiter, boolean before) {
    long nanos = limiter.waitNanos();
    if (nanos <= 0) {
      return false;
    }
    if (!before) {
      counters.increment(ConsoleEvent.RATE_LIMITED);
    }
    alarm.within(nanos);
    return true;
  }

  /**
   * Whether patience with something that began at {@code since} is over; if not the alarm is set.
   */
  boolean isOver(long since) {
    long left = patienceNanos - (now() - since);
    if (left > 0) {
      alarm.within(left);
    }
    return left <= 0;
  }
}

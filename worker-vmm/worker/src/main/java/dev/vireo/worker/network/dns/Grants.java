package dev.vireo.worker.network.dns;

import dev.vireo.worker.network.NameGrants;
import dev.vireo.worker.time.Time;
import java.io.IOException;
import java.net.Inet4Address;
import java.time.Duration;
import java.util.HashMap;
import java.util.Map;

/**
 * Where guests may go by names at present: the packet filter is told only what it does not know for
 * long enough. Bounded for each guest. Thread-safe.
 */
final class Grants {
  /** Of a guest, rules times addresses; as many as the packet filter has room for. */
  static final int MOST = 4096;

  static final Duration SHORTEST = Duration.ofSeconds(30);
  static final Duration LONGEST = Duration.ofHours(1);

  /** For who has an answer and takes a while to make use of it. */
  static final Duration GRACE = Duration.ofSeconds(60);

  /** Whoever asks again and again for what is about to expire has it renewed once in a while. */
  private static final Duration AHEAD = Duration.ofSeconds(30);

  private record Key(int rule, Inet4Address address) {}

  private final NameGrants sink;
  private final Time time;
  private final Map<String, Map<Key, Long>> endsByGuest = new HashMap<>();

  Grants(NameGrants sink, Time time) {
    this.sink = sink;
    this.time = time;
  }

  /**
   * Lets a guest reach an address until an answer of this time to live is no longer to be used.
   *
   * @throws IOException if it cannot be, or if the guest has too many
   */
  void grant(String uid, int rule, Inet4Address address, Duration timeToLive) throws IOException {
    Duration lasting = clamp(timeToLive).plus(GRACE);
    Key key = new Key(rule, address);
    synchronized (this) {
      Map<Key, Long> ends = endsByGuest.computeIfAbsent(uid, _ -> new HashMap<>());
      Long end = ends.get(key);
      if (end != null && end - (time.nanos() + lasting.toNanos()) >= 0) {
        return;
      }
      if (end == null && ends.size() >= MOST && !makeRoom(ends)) {
        throw new IOException("no room for more addresses");
      }
    }
    Duration whole = lasting.plus(AHEAD);
    sink.grant(uid, rule, address, whole);
    synchronized (this) {
      endsByGuest
          .computeIfAbsent(uid, _ -> new HashMap<>())
          .put(key, time.nanos() + whole.toNanos());
    }
  }

  private boolean makeRoom(Map<Key, Long> ends) {
    ends.values().removeIf(end -> end - time.nanos() <= 0);
    return ends.size() < MOST;
  }

  /** A guest's rules are new: nothing that it was granted before holds. */
  synchronized void forget(String uid) {
    endsByGuest.remove(uid);
  }

  private static Duration clamp(Duration timeToLive) {
    if (timeToLive.compareTo(SHORTEST) < 0) {
      return SHORTEST;
    }
    return timeToLive.compareTo(LONGEST) > 0 ? LONGEST : timeToLive;
  }
}

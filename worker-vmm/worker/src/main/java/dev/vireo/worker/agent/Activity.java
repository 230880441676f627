package dev.vireo.worker.agent;

import dev.vireo.worker.time.Time;
import java.time.Duration;
import java.util.HashMap;
import java.util.Map;

/**
 * When each guest of this node was last used: when a call to its agent last was open. Thread-safe.
 */
public final class Activity {
  private final Time time;
  private final Map<String, Use> uses = new HashMap<>();

  /** Of one guest. */
  private record Use(int calls, long endedNanos) {}

  public Activity(Time time) {
    this.time = time;
  }

  /**
   * A call to the agent of the microVM with this uid begins, which is here; to be {@link #ended}.
   */
  public synchronized void began(String uid) {
    uses.merge(uid, new Use(1, 0), (use, _) -> new Use(use.calls + 1, 0));
  }

  /** One has ended, maybe after its microVM was {@linkplain #forget forgotten}. */
  public synchronized void ended(String uid) {
    uses.computeIfPresent(uid, (_, use) -> new Use(Math.max(0, use.calls - 1), time.nanos()));
  }

  /**
   * For how long no call has been open; zero while one is.
   *
   * @param sinceNanos on the monotonic clock, from when on it counts if there was none
   */
  public synchronized Duration quiet(String uid, long sinceNanos) {
    Use use = uses.getOrDefault(uid, new Use(0, sinceNanos));
    if (use.calls > 0) {
      return Duration.ZERO;
    }
    long since = use.endedNanos - sinceNanos > 0 ? use.endedNanos : sinceNanos;
    return Duration.ofNanos(time.nanos() - since);
  }

  /** The microVM is no longer here. */
  public synchronized void forget(String uid) {
    uses.remove(uid);
  }

  /** Of how many microVMs something is remembered. */
  synchronized int size() {
    return uses.size();
  }
}

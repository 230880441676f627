package dev.vireo.worker.network.dns;

import dev.vireo.worker.time.Pace;
import dev.vireo.worker.time.Time;
import java.net.Inet4Address;
import java.time.Duration;
import java.util.HashMap;
import java.util.Map;

/** How much each guest may ask of the resolver, by its address. Thread-safe. */
final class Budgets {
  static final int MOST_OUTSTANDING = 64;
  static final int MOST_CONNECTIONS = 8;
  static final int BURST = 200;
  static final Duration INTERVAL = Duration.ofMillis(10);

  /** More addresses than guests: those that have been quiet are forgotten. */
  private static final int MOST_ADDRESSES = 4096;

  private static final class Budget {
    final Pace pace;
    int outstanding;
    int connections;

    Budget(Pace pace) {
      this.pace = pace;
    }

    boolean isQuiet() {
      return outstanding == 0 && connections == 0;
    }
  }

  private final Time time;
  private final Map<Inet4Address, Budget> byAddress = new HashMap<>();

  Budgets(Time time) {
    this.time = time;
  }

  /** One more question; false if it is one too many. Then {@link #answered} is not called. */
  synchronized boolean ask(Inet4Address source) {
    Budget budget = of(source);
    if (budget.outstanding >= MOST_OUTSTANDING || !budget.pace.tryTake()) {
      return false;
    }
    budget.outstanding++;
    return true;
  }

  synchronized void answered(Inet4Address source) {
    of(source).outstanding--;
  }

  /** One more connection; false if it is one too many. Then {@link #ended} is not called. */
  synchronized boolean connect(Inet4Address source) {
    Budget budget = of(source);
    if (budget.connections >= MOST_CONNECTIONS || !budget.pace.tryTake()) {
      return false;
    }
    budget.connections++;
    return true;
  }

  synchronized void ended(Inet4Address source) {
    of(source).connections--;
  }

  private Budget of(Inet4Address source) {
    if (byAddress.size() >= MOST_ADDRESSES && !byAddress.containsKey(source)) {
      byAddress.values().removeIf(Budget::isQuiet);
    }
    return byAddress.computeIfAbsent(source, _ -> new Budget(new Pace(time, INTERVAL, BURST)));
  }
}

package dev.vireo.bench.control;

import com.google.gson.GsonBuilder;
import com.google.gson.JsonObject;
import dev.vireo.bench.Samples;
import dev.vireo.bench.TextTable;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** What the control plane did, as a table for people and as JSON for scripts. */
public record ControlReport(
    List<Measured> points, @Nullable Watched watched, @Nullable Failover failover) {
  /**
   * On one store.
   *
   * @param perSecond creates, each until its microVM runs, with {@link ControlRun#IN_FLIGHT} on
   *     their way
   * @param storeAlone creates a second that the store would allow: what a create writes, without a
   *     controller
   * @param writesPerCreate commits
   * @param cpuMillis of the controller, for each create
   * @param mibPer100k of the controller's heap, for 100,000 microVMs
   * @param objects from how many that is known
   */
  record Measured(
      String store,
      double perSecond,
      double p50Millis,
      double p99Millis,
      double storeAlone,
      double writesPerCreate,
      double cpuMillis,
      int objects,
      double mibPer100k) {
    double percentOfStore() {
      return 100 * perSecond / storeAlone;
    }
  }

  /**
   * Of many clients that watch.
   *
   * @param p50Millis from a create's call to the event at each client
   * @param eventsPerSecond that came to all of them, when many are made at once
   * @param cutOff clients that were too slow
   */
  record Watched(
      int clients, double p50Millis, double p99Millis, double eventsPerSecond, int cutOff) {}

  /**
   * Of three controllers on an etcd of three members.
   *
   * @param leaderMillis from {@code kill -9} of the leader to the answer of a create that was
   *     called after it, for each time; and so on
   * @param answered creates, whose microVM ran
   * @param lost of these, in the end
   * @param retried creates that took more than one attempt
   * @param failed creates that no further attempt would have helped
   */
  record Failover(
      Samples leaderMillis,
      Samples followerMillis,
      Samples etcdMemberMillis,
      int answered,
      int lost,
      int retried,
      int failed) {}

  public ControlReport {
    points = List.copyOf(points);
  }

  /** The keys are a contract. */
  public String toJson() {
    JsonObject json = new JsonObject();
    for (Measured point : points) {
      JsonObject store = new JsonObject();
      store.addProperty("creates_per_second", Math.round(point.perSecond));
      store.addProperty("create_p50_ms", point.p50Millis);
      store.addProperty("create_p99_ms", point.p99Millis);
      store.addProperty("store_alone_creates_per_second", Math.round(point.storeAlone));
      store.addProperty("percent_of_store", point.percentOfStore());
      store.addProperty("durable_writes_per_create", point.writesPerCreate);
      store.addProperty("controller_cpu_ms_per_create", point.cpuMillis);
      store.addProperty("heap_mib_per_100k_microvms", point.mibPer100k);
      json.add(point.store, store);
    }
    if (watched != null) {
      JsonObject watch = new JsonObject();
      watch.addProperty("clients", watched.clients);
      watch.addProperty("latency_p50_ms", watched.p50Millis);
      watch.addProperty("latency_p99_ms", watched.p99Millis);
      watch.addProperty("events_per_second", Math.round(watched.eventsPerSecond));
      watch.addProperty("cut_off", watched.cutOff);
      json.add("watch", watch);
    }
    if (failover != null) {
      json.add("failover", json(failover));
    }
    return new GsonBuilder().setPrettyPrinting().create().toJson(json);
  }

  private static JsonObject json(Failover failover) {
    JsonObject json = new JsonObject();
    add(json, "leader_killed", failover.leaderMillis);
    add(json, "follower_killed", failover.followerMillis);
    add(json, "etcd_member_killed", failover.etcdMemberMillis);
    json.addProperty("creates_answered", failover.answered);
    json.addProperty("creates_lost", failover.lost);
    json.addProperty("creates_retried", failover.retried);
    json.addProperty("creates_failed", failover.failed);
    return json;
  }

  private static void add(JsonObject json, String what, Samples millis) {
    json.addProperty(what + "_to_placement_p50_ms", millis.median());
    json.addProperty(what + "_to_placement_max_ms", millis.sorted().getLast());
  }

  /** A row for each store, and lines about who watches and what happens when one is killed. */
  public String toTable() {
    TextTable table =
        new TextTable()
            .row(
                "store",
                "creates/s",
                "p50 ms",
                "p99 ms",
                "store alone/s",
                "of it",
                "writes each",
                "CPU ms each",
                "MiB per 100,000");
    for (Measured point : points) {
      table.row(
          point.store,
          "%,.0f".formatted(point.perSecond),
          "%.1f".formatted(point.p50Millis),
          "%.1f".formatted(point.p99Millis),
          "%,.0f".formatted(point.storeAlone),
          "%.0f %%".formatted(point.percentOfStore()),
          "%.2f".formatted(point.writesPerCreate),
          "%.2f".formatted(point.cpuMillis),
          "%.0f".formatted(point.mibPer100k));
    }
    return (points.isEmpty() ? "" : table.toString()) + watchedLine() + failoverLines();
  }

  private String watchedLine() {
    return watched == null
        ? ""
        : "%n%,d clients watch: an event %.1f ms after the call (p99 %.1f), %,.0f events/s, %d cut off%n"
            .formatted(
                watched.clients,
                watched.p50Millis,
                watched.p99Millis,
                watched.eventsPerSecond,
                watched.cutOff);
  }

  private String failoverLines() {
    return failover == null
        ? ""
        : "%n3 controllers, 3 etcd members, from kill -9 to the next placement: %s; %s; %s%n"
                .formatted(
                    line("the leader", failover.leaderMillis),
                    line("a follower", failover.followerMillis),
                    line("an etcd member", failover.etcdMemberMillis))
            + "creates meanwhile: %,d answered, of which %d lost; %d took several attempts, %d failed%n"
                .formatted(failover.answered, failover.lost, failover.retried, failover.failed);
  }

  private static String line(String what, Samples millis) {
    return "%s %,.0f ms (at most %,.0f)"
        .formatted(what, millis.median(), millis.sorted().getLast());
  }
}

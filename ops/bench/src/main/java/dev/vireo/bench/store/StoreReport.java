package dev.vireo.bench.store;

import com.google.gson.GsonBuilder;
import com.google.gson.JsonObject;
import dev.vireo.bench.TextTable;
import java.util.List;

/**
 * What stores committed, as a table for people and as JSON for scripts.
 *
 * @param points of each store one
 * @param syncsPerSecond of the disk: 1 KiB appended and synchronized, one after the other
 */
public record StoreReport(List<Measured> points, double syncsPerSecond) {
  /**
   * One store.
   *
   * @param alone commits a second, each begun when the last was answered
   * @param aloneP50Millis how long one of these took
   * @param together commits a second, with {@link StoreRun#IN_FLIGHT} on their way
   */
  record Measured(
      String store, double alone, double aloneP50Millis, double aloneP99Millis, double together) {}

  public StoreReport {
    points = List.copyOf(points);
  }

  /** The keys are a contract. */
  public String toJson() {
    JsonObject json = new JsonObject();
    for (Measured point : points) {
      JsonObject store = new JsonObject();
      store.addProperty("single_commits_per_second", Math.round(point.alone));
      store.addProperty("single_commit_p50_ms", point.aloneP50Millis);
      store.addProperty("single_commit_p99_ms", point.aloneP99Millis);
      store.addProperty("concurrent_commits_per_second", Math.round(point.together));
      json.add(point.store, store);
    }
    json.addProperty("disk_syncs_per_second", Math.round(syncsPerSecond));
    return new GsonBuilder().setPrettyPrinting().create().toJson(json);
  }

  /** A row for each store, and one for the disk. */
  public String toTable() {
    TextTable table =
        new TextTable()
            .row("store", "one by one/s", "p50 ms", "p99 ms", StoreRun.IN_FLIGHT + " at once/s");
    for (Measured point : points) {
      table.row(
          point.store,
          "%,.0f".formatted(point.alone),
          "%.2f".formatted(point.aloneP50Millis),
          "%.2f".formatted(point.aloneP99Millis),
          "%,.0f".formatted(point.together));
    }
    table.row("(disk, fdatasync)", "%,.0f".formatted(syncsPerSecond), "", "", "");
    return table.toString();
  }
}

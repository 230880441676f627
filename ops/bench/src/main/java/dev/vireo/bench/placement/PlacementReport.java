package dev.vireo.bench.placement;

import com.google.gson.GsonBuilder;
import com.google.gson.JsonObject;
import dev.vireo.bench.TextTable;
import java.util.List;
import java.util.Locale;

/** What placements took, as a table for people and as JSON for scripts. */
public record PlacementReport(List<Measured> points) {
  /**
   * One point.
   *
   * @param full percent of the nodes' memory that is promised
   * @param neighbours what a microVM wants of where others are
   * @param images how many nodes have its container image
   * @param meanMicros of a decision, its reservation and the release of another
   */
  record Measured(
      int nodes,
      int full,
      String profile,
      String neighbours,
      String images,
      double meanMicros,
      double p50Micros,
      double p99Micros) {
    private static final String ANYWHERE = "ANYWHERE";
    private static final String NONE = "NONE";

    double perSecond() {
      return 1e6 / meanMicros;
    }

    private String key() {
      String key = "nodes%d_full%d_%s".formatted(nodes, full, profile.toLowerCase(Locale.ROOT));
      return key
          + (neighbours.equals(ANYWHERE) ? "" : "_" + neighbours.toLowerCase(Locale.ROOT))
          + (images.equals(NONE) ? "" : "_images_" + images.toLowerCase(Locale.ROOT));
    }
  }

  public PlacementReport {
    points = List.copyOf(points);
  }

  /** The keys are a contract. */
  public String toJson() {
    JsonObject rates = new JsonObject();
    JsonObject medians = new JsonObject();
    JsonObject worst = new JsonObject();
    for (Measured point : points) {
      rates.addProperty(point.key(), Math.round(point.perSecond()));
      medians.addProperty(point.key(), point.p50Micros / 1000);
      worst.addProperty(point.key(), point.p99Micros / 1000);
    }
    JsonObject json = new JsonObject();
    json.add("placements_per_second", rates);
    json.add("placement_p50_ms", medians);
    json.add("placement_p99_ms", worst);
    return new GsonBuilder().setPrettyPrinting().create().toJson(json);
  }

  /** A row for each point. */
  public String toTable() {
    TextTable table =
        new TextTable()
            .row(
                "nodes",
                "full",
                "profile",
                "neighbours",
                "images",
                "placements/s",
                "p50 µs",
                "p99 µs");
    for (Measured point : points) {
      table.row(
          Integer.toString(point.nodes),
          point.full + " %",
          point.profile.toLowerCase(Locale.ROOT),
          point.neighbours.toLowerCase(Locale.ROOT),
          point.images.toLowerCase(Locale.ROOT),
          "%,.0f".formatted(point.perSecond()),
          "%.1f".formatted(point.p50Micros),
          "%.1f".formatted(point.p99Micros));
    }
    return table.toString();
  }
}

package dev.vireo.bench;

import java.util.Arrays;
import java.util.List;

/** Measured values of one kind, sorted. */
public record Samples(List<Double> sorted) {
  public Samples {
    if (sorted.isEmpty()) {
      throw new IllegalArgumentException("no samples");
    }
    sorted = sorted.stream().sorted().toList();
  }

  public static Samples of(double... values) {
    return new Samples(Arrays.stream(values).boxed().toList());
  }

  /**
   * The nearest-rank percentile: the smallest value that at least this share of all are not above.
   *
   * @param percent above 0, up to 100
   */
  public double percentile(double percent) {
    int rank = (int) Math.ceil(percent / 100 * sorted.size());
    return sorted.get(Math.max(rank, 1) - 1);
  }

  public double median() {
    return percentile(50);
  }

  public double mean() {
    return sorted.stream().mapToDouble(Double::doubleValue).sum() / sorted.size();
  }
}

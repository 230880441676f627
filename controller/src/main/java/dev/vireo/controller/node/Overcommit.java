package dev.vireo.controller.node;

import dev.vireo.proto.v1.NodeResources;
import java.math.BigDecimal;
import java.util.Map;
import java.util.Optional;
import java.util.regex.Pattern;

/**
 * How much more of a node is promised than it has, by its labels. Guests seldom need all that they
 * may have; if they do, those of memory that is promised twice are killed for want of it.
 */
public enum Overcommit {
  CPU("vireo.dev/cpu-overcommit"),
  MEMORY("vireo.dev/memory-overcommit");

  private static final Pattern DECIMAL = Pattern.compile("\\d{1,3}(\\.\\d{1,3})?");
  private static final BigDecimal LEAST = new BigDecimal("0.1");
  private static final BigDecimal MOST = new BigDecimal(100);

  private final String label;

  Overcommit(String label) {
    this.label = label;
  }

  /** The label's key. */
  public String label() {
    return label;
  }

  /** The ratio that a label's value stands for; empty for one that is none. */
  public static Optional<BigDecimal> parse(String value) {
    return Optional.of(value)
        .filter(text -> DECIMAL.matcher(text).matches())
        .map(BigDecimal::new)
        .filter(ratio -> ratio.compareTo(LEAST) >= 0 && ratio.compareTo(MOST) <= 0);
  }

  /** Of a label that is not there, or, given by a worker, no ratio, 1. */
  private BigDecimal ratio(Map<String, String> labels) {
    return Optional.ofNullable(labels.get(label)).flatMap(Overcommit::parse).orElse(BigDecimal.ONE);
  }

  private long of(long amount, Map<String, String> labels) {
    return BigDecimal.valueOf(amount).multiply(ratio(labels)).longValue();
  }

  /** What may be promised of a node with this capacity and these labels. */
  static NodeResources of(NodeResources capacity, Map<String, String> labels) {
    return NodeResources.newBuilder()
        .setCpuMilli(CPU.of(capacity.getCpuMilli(), labels))
        .setMemoryMib(MEMORY.of(capacity.getMemoryMib(), labels))
        .build();
  }
}

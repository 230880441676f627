package dev.vireo.controller.node;

import dev.vireo.proto.worker.v1.NodeCounter;
import io.micrometer.core.instrument.FunctionCounter;
import io.micrometer.core.instrument.MeterRegistry;
import java.util.List;
import java.util.concurrent.ConcurrentHashMap;
import java.util.regex.Pattern;

/**
 * The counters of nodes' microVMs as metrics, summed by node. A microVM's id is no label; a node's
 * is, with models, causes, registers and reasons, of which there are few.
 */
public final class NodeMeters {
  private static final Pattern BYTES = Pattern.compile("(.*_)?bytes(_.*)?");
  private static final Pattern ERRORS =
      Pattern.compile("illegal\\..*|errors?_.*|.*_(lost|refused)|refused_.*|(.*_)?dropped_.*");

  /** More are none of ours: a worker that makes names up must not fill the memory. */
  private static final int MOST_SERIES_OF_A_NODE = 2_000;

  /** One series. It never goes down, though it begins at 0 again with the worker. */
  private static final class Series {
    private long before;
    private long last;

    synchronized void hear(long value) {
      if (value < last) {
        before += last;
      }
      last = value;
    }

    synchronized double value() {
      return (double) (before + last);
    }
  }

  private final MeterRegistry meters;
  private final ConcurrentHashMap<String, ConcurrentHashMap<NodeCounter, Series>> byNode =
      new ConcurrentHashMap<>();

  public NodeMeters(MeterRegistry meters) {
    this.meters = meters;
  }

  /** What a node's worker has counted since it began. */
  public void hear(String node, List<NodeCounter> counters) {
    if (counters.isEmpty()) {
      return;
    }
    ConcurrentHashMap<NodeCounter, Series> known =
        byNode.computeIfAbsent(node, _ -> new ConcurrentHashMap<>());
    for (NodeCounter counter : counters) {
      NodeCounter key = counter.toBuilder().clearValue().build();
      Series series = known.get(key);
      if (series == null && known.size() < MOST_SERIES_OF_A_NODE) {
        series = known.computeIfAbsent(key, _ -> register(node, key));
      }
      if (series != null) {
        series.hear(counter.getValue());
      }
    }
  }

  private Series register(String node, NodeCounter counter) {
    String name = counter.getName();
    String model = counter.getModel();
    return switch (counter.getKind()) {
      case EXITS -> series("vireo.vcpu.exits", "Exits to user space", "node", node, "cause", name);
      case REGISTER_EXITS ->
          series(
              "vireo.device.register.exits",
              "Exits to user space on a device's registers",
              "node",
              node,
              "model",
              model,
              "register",
              name);
      case NOTIFICATIONS ->
          series(
              "vireo.device.notifications",
              "Wake-ups of devices by their drivers, through ioeventfds",
              "node",
              node,
              "model",
              model);
      case INTERRUPTS ->
          series(
              "vireo.device.interrupts",
              "Interrupts sent, through irqfds",
              "node",
              node,
              "model",
              model);
      case INTERRUPTS_SUPPRESSED ->
          series(
              "vireo.device.interrupts.suppressed",
              "Interrupts not sent because the driver did not want them",
              "node",
              node,
              "model",
              model);
      case REQUESTS ->
          series(
              "vireo.device.requests", "Chains returned to drivers", "node", node, "model", model);
      case DEVICE -> ofDevice(node, model, name);
      case SERVICE ->
          series(
              "vireo.guest.service.events",
              "What the services count that workers have for their guests",
              "node",
              node,
              "service",
              model,
              "event",
              name);
      case KIND_UNSPECIFIED, UNRECOGNIZED -> new Series(); // Of a newer worker.
    };
  }

  private Series ofDevice(String node, String model, String name) {
    String[] tags = {"node", node, "model", model, "event", name};
    if (BYTES.matcher(name).matches()) {
      Series series = new Series();
      FunctionCounter.builder("vireo.device", series, Series::value)
          .description("Bytes that devices moved, or dropped")
          .baseUnit("bytes")
          .tags(tags)
          .register(meters);
      return series;
    }
    return ERRORS.matcher(name).matches()
        ? series("vireo.device.errors", "What drivers did wrong, and what failed", tags)
        : series("vireo.device.events", "What devices count besides", tags);
  }

  private Series series(String name, String description, String... tags) {
    Series series = new Series();
    FunctionCounter.builder(name, series, Series::value)
        .description(description)
        .tags(tags)
        .register(meters);
    return series;
  }
}

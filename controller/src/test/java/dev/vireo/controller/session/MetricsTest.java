package dev.vireo.controller.session;

import static java.util.stream.Collectors.toCollection;
import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.vireo.controller.testing.ControllerTest;
import dev.vireo.controller.testing.FakeWorker;
import dev.vireo.proto.worker.v1.Heartbeat;
import dev.vireo.proto.worker.v1.NodeCounter;
import dev.vireo.proto.worker.v1.NodeCounter.Kind;
import dev.vireo.proto.worker.v1.WorkerMessage;
import io.micrometer.core.instrument.FunctionCounter;
import io.micrometer.core.instrument.Meter;
import io.micrometer.core.instrument.Tag;
import io.micrometer.core.instrument.config.NamingConvention;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

/** What /metrics tells, and what METRICS.md says that it does. */
final class MetricsTest extends ControllerTest {
  /** A row of a table: the name, and the labels' cell. */
  private static final Pattern ROW = Pattern.compile("^\\| `(vireo_[a-z_]+)` \\|([^|]*)\\|");

  private static final Pattern LABEL = Pattern.compile("`([a-z]+)`");

  private static NodeCounter counter(Kind kind, String model, String name, long value) {
    return NodeCounter.newBuilder()
        .setKind(kind)
        .setModel(model)
        .setName(name)
        .setValue(value)
        .build();
  }

  private static void count(FakeWorker worker, NodeCounter... counters) {
    worker.say(
        WorkerMessage.newBuilder()
            .setHeartbeat(Heartbeat.newBuilder().addAllCounters(List.of(counters)))
            .build());
  }

  /** Of one series that has this value of a label; −1 if there is none. */
  private double value(String meter, String label, String of) {
    FunctionCounter counter = controller.meters.find(meter).tag(label, of).functionCounter();
    return counter == null ? -1 : counter.count();
  }

  private void awaitValue(String meter, String label, String of, double expected) {
    await().untilAsserted(() -> assertEquals(expected, value(meter, label, of)));
  }

  @Test
  void areThoseOfThePage() throws IOException {
    FakeWorker worker = controller.join("a");
    running(worker, "vm");
    count(
        worker,
        counter(Kind.EXITS, "", "hlt", 1),
        counter(Kind.REGISTER_EXITS, "blk", "interrupt_ack", 1),
        counter(Kind.NOTIFICATIONS, "blk", "", 1),
        counter(Kind.INTERRUPTS, "blk", "", 1),
        counter(Kind.INTERRUPTS_SUPPRESSED, "blk", "", 1),
        counter(Kind.REQUESTS, "blk", "", 1),
        counter(Kind.SERVICE, "metadata", "requests", 1),
        counter(Kind.DEVICE, "blk", "bytes_read", 1),
        counter(Kind.DEVICE, "blk", "illegal.ring", 1),
        counter(Kind.DEVICE, "blk", "requests_read", 1));
    awaitValue("vireo.device.events", "event", "requests_read", 1);
    Set<String> registered =
        Stream.of(controller.meters, storeMeters)
            .flatMap(registry -> registry.getMeters().stream())
            .map(MetricsTest::nameAndLabels)
            .collect(toCollection(TreeSet::new));
    assertEquals(onThePage(), registered);
  }

  private static String nameAndLabels(Meter meter) {
    Set<String> labels =
        meter.getId().getTags().stream().map(Tag::getKey).collect(toCollection(TreeSet::new));
    return prometheusName(meter.getId()) + labels;
  }

  /** As Micrometer's registry for Prometheus has it: units and types are in the name. */
  private static String prometheusName(Meter.Id id) {
    String name = id.getConventionName(NamingConvention.snakeCase);
    String unit = id.getType() == Meter.Type.TIMER ? "seconds" : id.getBaseUnit();
    return name
        + (unit == null ? "" : "_" + unit)
        + (id.getType() == Meter.Type.COUNTER ? "_total" : "");
  }

  private static Set<String> onThePage() throws IOException {
    Set<String> rows = new TreeSet<>();
    for (String line : Files.readAllLines(Path.of("METRICS.md"))) {
      ROW.matcher(line)
          .results()
          .forEach(row ->
              rows.add(
                  row.group(1)
                      + LABEL
                          .matcher(row.group(2))
                          .results()
                          .map(label -> label.group(1))
                          .collect(toCollection(TreeSet::new))));
    }
    return rows;
  }

  @Test
  void bytesAndErrorsAreKnownByTheirNames() {
    FakeWorker worker = controller.join("a");
    count(
        worker,
        counter(Kind.DEVICE, "net", "rx_bytes", 1),
        counter(Kind.DEVICE, "vsock", "bytes_dropped", 2),
        counter(Kind.DEVICE, "net", "tx_dropped_link_down", 3),
        counter(Kind.DEVICE, "net", "tx_refused", 4),
        counter(Kind.DEVICE, "net", "rx_frames", 5));
    awaitValue("vireo.device.events", "event", "rx_frames", 5);
    awaitValue("vireo.device", "event", "rx_bytes", 1);
    awaitValue("vireo.device", "event", "bytes_dropped", 2);
    awaitValue("vireo.device.errors", "event", "tx_dropped_link_down", 3);
    awaitValue("vireo.device.errors", "event", "tx_refused", 4);
  }

  @Test
  void aNodesCountersGrowAndAreItsOwn() {
    FakeWorker worker = controller.join("a");
    count(worker, counter(Kind.EXITS, "", "hlt", 10));
    awaitValue("vireo.vcpu.exits", "node", "a", 10);
    count(controller.join("b"), counter(Kind.EXITS, "", "hlt", 100));
    awaitValue("vireo.vcpu.exits", "node", "b", 100);
    count(worker, counter(Kind.EXITS, "", "hlt", 15));
    awaitValue("vireo.vcpu.exits", "node", "a", 15);
  }

  @Test
  void aCounterGoesOnWhereItWasWhenItsWorkerBeginsAnew() {
    count(controller.join("a"), counter(Kind.EXITS, "", "hlt", 10));
    awaitValue("vireo.vcpu.exits", "node", "a", 10);
    FakeWorker again = controller.join("a");
    count(again, counter(Kind.EXITS, "", "hlt", 3));
    awaitValue("vireo.vcpu.exits", "node", "a", 13);
    count(again, counter(Kind.EXITS, "", "hlt", 4));
    awaitValue("vireo.vcpu.exits", "node", "a", 14);
  }
}

package dev.vireo.systemtests;

import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.protobuf.ByteString;
import dev.vireo.bench.cluster.Installation;
import dev.vireo.bench.cluster.LocalCluster;
import dev.vireo.bench.cluster.OwnedProcesses;
import dev.vireo.bench.cluster.ProbeSpec;
import dev.vireo.proto.v1.CreateMicroVmRequest.Wait;
import io.grpc.Metadata;
import io.grpc.stub.MetadataUtils;
import io.opentelemetry.proto.common.v1.KeyValue;
import io.opentelemetry.proto.trace.v1.ResourceSpans;
import io.opentelemetry.proto.trace.v1.Span;
import java.io.IOException;
import java.nio.file.Files;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/**
 * A create's trace as a collector gets it from a real controller and worker, for a real VMM: one
 * tree, as controller/TRACING.md draws it.
 */
@Tag("kvm")
class LaunchTraceTest {
  private static final String TRACE = "0af7651916cd43dd8448eb211c80319c";
  private static final String CLIENT = "b7ad6b7169203331";

  private static final String CREATE = "vireo.v1.MicroVmService/CreateMicroVm";

  private static final String EXPECTED =
      """
      controller SERVER vireo.v1.MicroVmService/CreateMicroVm
        controller INTERNAL schedule
        controller CLIENT commit
        controller PRODUCER assign
          worker CONSUMER reconcile
            worker INTERNAL open files
            worker INTERNAL prepare disks
            worker INTERNAL take VMM
            worker INTERNAL create machine
            worker INTERNAL boot guest
        controller CONSUMER report
          controller CLIENT commit
      """;

  /** Processes tell the time each by a clock of their own, set to the machine's when they began. */
  private static final long CLOCKS_DIFFER_NANOS = TimeUnit.MILLISECONDS.toNanos(20);

  /** A span of the trace, and whose it is. */
  private record Seen(String service, Span span) {
    String text() {
      return "%s %s %s"
          .formatted(
              service.replace("vireo-", ""),
              span.getKind().name().replace("SPAN_KIND_", ""),
              span.getName());
    }
  }

  @Test
  void aCreateIsOneTreeFromTheCallToTheGuestThatIsReady() throws Exception {
    try (OtlpReceiver receiver = new OtlpReceiver();
        OwnedProcesses processes = OwnedProcesses.create("vireo-test");
        LocalCluster cluster =
            LocalCluster.create(
                Installation.find(),
                processes,
                Map.of(
                    "OTEL_EXPORTER_OTLP_ENDPOINT",
                    receiver.endpoint(),
                    "OTEL_BSP_SCHEDULE_DELAY",
                    "100"))) {
      cluster.startController();
      cluster.startWorker(1);

      create(cluster);

      await("the tree")
          .atMost(ClusterExtension.PATIENCE)
          .untilAsserted(() -> assertEquals(EXPECTED, tree(of(receiver), CLIENT)));
      List<Seen> spans = of(receiver);
      assertLogged(processes, "created microvm=", CREATE, spans);
      assertLogged(processes, "state microvm=", "report", spans);
      assertStagesFollowEachOther(spans);
      assertCausesComeFirst(spans);
    }
  }

  private static void create(LocalCluster cluster) {
    Metadata headers = new Metadata();
    headers.put(
        Metadata.Key.of("traceparent", Metadata.ASCII_STRING_MARSHALLER),
        "00-%s-%s-01".formatted(TRACE, CLIENT));
    var _ =
        cluster
            .microVms()
            .api()
            .withInterceptors(MetadataUtils.newAttachHeadersInterceptor(headers))
            .createMicroVm(
                cluster
                    .microVms()
                    .request("traced", ProbeSpec.of("probe.run=tick probe.interval_ms=200"))
                    .setWait(Wait.WAIT_READY)
                    .build());
  }

  private static List<Seen> of(OtlpReceiver receiver) {
    return receiver.received().stream()
        .flatMap(LaunchTraceTest::spans)
        .filter(seen -> seen.span.getTraceId().equals(bytes(TRACE)))
        .toList();
  }

  private static Stream<Seen> spans(ResourceSpans resource) {
    String service =
        resource.getResource().getAttributesList().stream()
            .filter(attribute -> attribute.getKey().equals("service.name"))
            .map(KeyValue::getValue)
            .findFirst()
            .orElseThrow()
            .getStringValue();
    return resource.getScopeSpansList().stream()
        .flatMap(scope -> scope.getSpansList().stream())
        .map(span -> new Seen(service, span));
  }

  /**
   * What is below a span, by the time it began, a line each, indented. A node may have said on its
   * way how far it is: the same as before it is not told again.
   */
  private static String tree(List<Seen> spans, String parent) {
    return spans.stream()
        .filter(seen -> seen.span.getParentSpanId().equals(bytes(parent)))
        .sorted(Comparator.comparingLong(seen -> seen.span.getStartTimeUnixNano()))
        .map(seen -> seen.text() + "\n" + tree(spans, hex(seen.span.getSpanId())).indent(2))
        .distinct()
        .collect(Collectors.joining());
  }

  private static String hex(ByteString id) {
    return HexFormat.of().formatHex(id.toByteArray());
  }

  /** The controller's line about it tells of which span it is. */
  private static void assertLogged(
      OwnedProcesses processes, String begin, String span, List<Seen> spans) throws IOException {
    List<String> ids =
        spans.stream()
            .map(Seen::span)
            .filter(each -> each.getName().equals(span))
            .map(each -> " trace_id=" + TRACE + " span_id=" + hex(each.getSpanId()))
            .toList();
    List<String> lines =
        Files.readAllLines(processes.directory().resolve("controller.log")).stream()
            .filter(line -> line.contains(begin))
            .toList();
    assertFalse(lines.isEmpty(), begin);
    for (String line : lines) {
      assertTrue(ids.stream().anyMatch(line::endsWith), line);
    }
  }

  private static void assertStagesFollowEachOther(List<Seen> spans) {
    List<String> names =
        List.of("open files", "prepare disks", "take VMM", "create machine", "boot guest");
    List<Span> stages = new ArrayList<>();
    names.forEach(name -> stages.add(one(spans, name)));
    for (int i = 1; i < stages.size(); i++) {
      assertTrue(
          stages.get(i).getStartTimeUnixNano() >= stages.get(i - 1).getEndTimeUnixNano(),
          names.get(i));
    }
    Span reconcile = one(spans, "reconcile");
    assertTrue(reconcile.getEndTimeUnixNano() >= one(spans, "create machine").getEndTimeUnixNano());
    assertTrue(reconcile.getEndTimeUnixNano() < one(spans, "boot guest").getEndTimeUnixNano());
  }

  private static void assertCausesComeFirst(List<Seen> spans) {
    for (Seen seen : spans) {
      spans.stream()
          .filter(other -> other.span.getSpanId().equals(seen.span.getParentSpanId()))
          .forEach(parent ->
              assertTrue(
                  parent.span.getStartTimeUnixNano()
                      <= seen.span.getStartTimeUnixNano() + CLOCKS_DIFFER_NANOS,
                  seen.text() + " began before " + parent.text()));
    }
  }

  private static Span one(List<Seen> spans, String name) {
    List<Span> found =
        spans.stream().map(Seen::span).filter(span -> span.getName().equals(name)).toList();
    assertEquals(1, found.size(), name);
    return found.getFirst();
  }

  private static ByteString bytes(String hex) {
    return ByteString.copyFrom(HexFormat.of().parseHex(hex));
  }
}

package dev.vireo.systemtests;

import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.protobuf.DynamicMessage;
import com.google.protobuf.util.Durations;
import com.google.protobuf.util.JsonFormat;
import dev.vireo.bench.ProbeOutput;
import dev.vireo.bench.cluster.MicroVms;
import dev.vireo.bench.cluster.ProbeSpec;
import dev.vireo.proto.v1.CreateMicroVmRequest.Wait;
import dev.vireo.proto.v1.DeviceInspection;
import dev.vireo.proto.v1.Inspection;
import dev.vireo.proto.v1.ListMicroVmsRequest;
import dev.vireo.proto.v1.ListMicroVmsResponse;
import dev.vireo.proto.v1.MicroVmSpec;
import dev.vireo.proto.v1.MicroVmState;
import dev.vireo.proto.v1.MicroVmStatus;
import dev.vireo.proto.v1.SteerMicroVmRequest;
import dev.vireo.proto.v1.Termination;
import dev.vireo.proto.v1.WatchEventType;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** A microVM's life through the public API, with real processes and probe guests. */
@Tag("kvm")
class MicroVmLifeTest {
  @RegisterExtension static final ClusterExtension CLUSTER = new ClusterExtension(2);

  @TempDir private Path directory;

  private final MicroVms microVms = CLUSTER.microVms();

  @Test
  void aPlainClientRunsAGuestAndReadsItsConsole() {
    microVms.create(
        "hello", ProbeSpec.of("probe.run=hello greeting=from-a-client"), Wait.WAIT_READY);

    ProbeOutput output = untilEnded("hello");

    assertTrue(output.passed(), output.text());
    assertTrue(output.text().contains("greeting=from-a-client"));
    assertEquals(Termination.Cause.GUEST_POWER_OFF, awaitTermination("hello").getCause());
    assertEquals(MicroVmState.STOPPED, microVms.get("hello").getStatus().getState());
  }

  @Test
  void aClientWithReflectionAloneDoesTheSame() throws Exception {
    ReflectionClient client = new ReflectionClient(CLUSTER.cluster().channel());
    assertTrue(
        client
            .services()
            .containsAll(
                List.of(
                    "vireo.v1.MicroVmService", "vireo.v1.NodeService", "grpc.health.v1.Health")));

    DynamicMessage created =
        client.call(
            "vireo.v1.MicroVmService/CreateMicroVm",
            """
            {
              "parent": "projects/default", "microvmId": "reflected", "wait": "WAIT_READY",
              "requestId": "7f1d3b0a-6f1c-4a53-9a4e-1f5b8b1d2c3e",
              "microvm": {"spec": {
                "vcpus": 1, "memoryMib": 64,
                "boot": {"kernel": "probe", "commandLine": "probe.run=idle"}}}
            }
            """);

    assertTrue(JsonFormat.printer().print(created).contains("projects/default/microvms/reflected"));
    assertEquals(MicroVmState.RUNNING, microVms.get("reflected").getStatus().getState());
    client.call(
        "vireo.v1.MicroVmService/DeleteMicroVm",
        "{\"name\": \"projects/default/microvms/reflected\", \"force\": true}");
    await().atMost(ClusterExtension.PATIENCE).until(() -> microVms.list().isEmpty());
  }

  @Test
  void aListComesInPagesAndMissesNothing() {
    Set<String> created = new TreeSet<>();
    for (int i = 0; i < 5; i++) {
      created.add(microVms.create("page-" + i, ProbeSpec.of("probe.run=idle")).getMeta().getName());
    }

    Set<String> listed = new TreeSet<>();
    ListMicroVmsRequest.Builder request =
        ListMicroVmsRequest.newBuilder().setParent(microVms.parent()).setPageSize(2);
    ListMicroVmsResponse page;
    do {
      page = microVms.api().listMicroVms(request.build());
      assertTrue(page.getMicrovmsCount() <= 2);
      page.getMicrovmsList().forEach(microVm -> listed.add(microVm.getMeta().getName()));
      request.setPageToken(page.getNextPageToken());
    } while (!page.getNextPageToken().isEmpty());

    assertEquals(created, listed);
  }

  @Test
  void aWatchSeesTheWholeLife() {
    try (WatchedEvents events = WatchedEvents.of(microVms)) {
      microVms.create("watched", ProbeSpec.of("probe.run=idle"), Wait.WAIT_RUNNING);
      microVms.delete("watched");

      await()
          .atMost(ClusterExtension.PATIENCE)
          .until(() -> events.types("watched").contains(WatchEventType.DELETED));

      assertEquals(WatchEventType.ADDED, events.types("watched").getFirst());
      assertEquals(WatchEventType.DELETED, events.types("watched").getLast());
      assertTrue(events.states("watched").contains(MicroVmState.RUNNING));
      assertTrue(events.versionsGrow());
    }
  }

  @Test
  void logsAreFollowedAsTheGuestWrites() {
    microVms.create("ticking", ProbeSpec.of("probe.run=tick probe.interval_ms=20"));

    String text = microVms.followLogs("ticking", seen -> seen.contains("tick=25\n"));

    for (int i = 0; i <= 25; i++) {
      assertTrue(text.contains("tick=" + i + "\n"), text);
    }
  }

  @Test
  void inspectionShowsDevicesExitsAndTimings() throws IOException {
    Path disk = disk(1 << 20);
    microVms.create(
        "inspected", ProbeSpec.with("probe.run=blk-read probe.ops=500 probe.end=halt", disk));
    assertTrue(untilEnded("inspected").passed());

    Inspection inspection = microVms.inspect("inspected");

    DeviceInspection device = inspection.getDevices(0);
    assertEquals("disk0", device.getId());
    assertEquals(500, device.getQueues(0).getRequests());
    assertTrue(device.getQueues(0).getNotifications() > 0);
    assertEquals(
        0, exitsOn(inspection, "queue_notify"), "a notification never exits to user space");
    assertTrue(
        inspection.getTimings().getFirstExitNs() > inspection.getTimings().getSpecReceivedNs());
    assertTrue(inspection.getConsoleBytes() > 0);
    assertTrue(Files.isDirectory(Path.of("/proc/" + inspection.getVmmPid())));
  }

  @Test
  void aGuestReadsTheNodesRandomNumbers() {
    MicroVmSpec.Builder spec =
        ProbeSpec.of("probe.run=rng-read probe.ops=100 probe.block=4096 probe.end=halt")
            .toBuilder();
    spec.getEntropyBuilder();
    microVms.create("random", spec.build());
    ProbeOutput output = untilEnded("random");
    assertTrue(output.passed(), output.text());
    assertEquals(409_600, output.number("bytes"));

    DeviceInspection device = microVms.inspect("random").getDevices(0);
    assertEquals("entropy", device.getId());
    assertEquals("rng/host", device.getBackEnd());
    assertEquals(409_600, device.getCountersOrThrow("bytes"));
    assertEquals(0, device.getExitsPerIo(), 0.2);
  }

  private static long exitsOn(Inspection inspection, String register) {
    return inspection.getExitsMap().entrySet().stream()
        .filter(exits -> exits.getKey().endsWith("." + register))
        .mapToLong(exits -> exits.getValue())
        .sum();
  }

  @ParameterizedTest
  @CsvSource({"1, 512", "7, 4096", "32, 4096", "64, 65536"})
  void everyByteThatTheGuestWroteComesBack(int depth, int block) throws IOException {
    Path disk = disk(16 << 20);

    microVms.create(
        "verified",
        ProbeSpec.with(
            "probe.run=blk-verify probe.ops=500 probe.depth=%d probe.block=%d"
                .formatted(depth, block),
            disk));

    ProbeOutput output = untilEnded("verified");
    assertTrue(output.passed(), output.text());
    assertEquals((16 << 20) / 512, output.number("capacity_sectors"));
  }

  @Test
  void everyVcpuThatWasAskedForRuns() {
    microVms.create(
        "many", ProbeSpec.of("probe.run=smp probe.cpus=4").toBuilder().setVcpus(4).build());

    ProbeOutput output = untilEnded("many");
    assertTrue(output.passed(), output.text());
    assertEquals(4, output.number("cpus_done"));
  }

  @Test
  void aReadOnlyDiskStaysAsItIs() throws IOException {
    Path disk = disk(1 << 20);
    MicroVmSpec.Builder spec =
        ProbeSpec.with("probe.run=blk-verify probe.ops=16", disk).toBuilder();
    spec.getDisksBuilder(0).setReadOnly(true);

    microVms.create("read-only", spec.build());

    ProbeOutput output = untilEnded("read-only");
    assertEquals(1, output.number("read_only"));
    assertEquals(16, output.number("write_errors"));
    assertEquals(0, output.number("read_errors"));
    assertEquals(-1, Files.mismatch(disk, emptyFile(1 << 20)));
  }

  @ParameterizedTest
  @CsvSource({"poweroff, GUEST_POWER_OFF", "reset, GUEST_RESET", "crash, GUEST_RESET"})
  void theEndSaysHowTheGuestEnded(String end, Termination.Cause cause) {
    microVms.create("ending", ProbeSpec.of("probe.run=hello probe.end=" + end));

    assertEquals(cause, awaitTermination("ending").getCause());
  }

  @Test
  void aPausedGuestStandsStillAndGoesOn() {
    microVms.create("paused", ProbeSpec.of("probe.run=tick probe.interval_ms=20"), Wait.WAIT_READY);
    microVms.followLogs("paused", text -> text.contains("tick=3\n"));

    steer("paused", Steer.PAUSE);
    awaitState("paused", MicroVmState.PAUSED);
    long bytes = microVms.inspect("paused").getConsoleBytes();
    steer("paused", Steer.RESUME);
    awaitState("paused", MicroVmState.RUNNING);

    await()
        .atMost(ClusterExtension.PATIENCE)
        .until(() -> microVms.inspect("paused").getConsoleBytes() > bytes);
  }

  @Test
  void aGuestThatIsAskedToStopPowersOff() {
    microVms.create("asked", ProbeSpec.of("probe.run=idle"), Wait.WAIT_READY);

    steer("asked", Steer.STOP);

    awaitState("asked", MicroVmState.STOPPED);
    String console = microVms.followLogs("asked", text -> text.contains("probe: passed"));
    assertTrue(console.contains("probe: passed"), "the guest ended by itself");
  }

  @Test
  void aGuestThatDoesNotListenIsStoppedAfterItsGrace() {
    MicroVmSpec.Builder spec = ProbeSpec.of("probe.run=spin probe.power_button=0").toBuilder();
    spec.getLifecycleBuilder().setStopGrace(Durations.fromMillis(300));
    microVms.create("deaf", spec.build(), Wait.WAIT_READY);

    steer("deaf", Steer.STOP);

    assertEquals(Termination.Cause.STOPPED_BY_REQUEST, awaitTermination("deaf").getCause());
  }

  @Test
  void aDeletedMicroVmLeavesNoProcessAndNoFile() throws IOException {
    microVms.create("brief", ProbeSpec.of("probe.run=idle"), Wait.WAIT_RUNNING);
    long pid = microVms.inspect("brief").getVmmPid();

    microVms.delete("brief");

    await().atMost(ClusterExtension.PATIENCE).until(() -> microVms.list().isEmpty());
    assertFalse(Files.exists(Path.of("/proc/" + pid)));
  }

  @Test
  void aTimeToLiveEndsAMicroVm() {
    MicroVmSpec.Builder spec = ProbeSpec.of("probe.run=idle").toBuilder();
    spec.getLifecycleBuilder().setTtl(Durations.fromMillis(800));
    microVms.create("mortal", spec.build(), Wait.WAIT_RUNNING);

    await().atMost(ClusterExtension.PATIENCE).until(() -> microVms.list().isEmpty());
  }

  private enum Steer {
    STOP,
    PAUSE,
    RESUME
  }

  private void steer(String id, Steer verb) {
    SteerMicroVmRequest request =
        SteerMicroVmRequest.newBuilder().setName(microVms.name(id)).build();
    var _ =
        switch (verb) {
          case STOP -> microVms.api().stopMicroVm(request);
          case PAUSE -> microVms.api().pauseMicroVm(request);
          case RESUME -> microVms.api().resumeMicroVm(request);
        };
  }

  private ProbeOutput untilEnded(String id) {
    return ProbeOutput.parse(microVms.followLogs(id, text -> ProbeOutput.parse(text).ended()));
  }

  private void awaitState(String id, MicroVmState state) {
    await()
        .atMost(ClusterExtension.PATIENCE)
        .until(() -> microVms.get(id).getStatus().getState(), state::equals);
  }

  private Termination awaitTermination(String id) {
    return await()
        .atMost(ClusterExtension.PATIENCE)
        .until(() -> microVms.get(id).getStatus(), MicroVmStatus::hasTermination)
        .getTermination();
  }

  private Path disk(long bytes) throws IOException {
    return Files.copy(emptyFile(bytes), directory.resolve("disk.raw"));
  }

  private Path emptyFile(long bytes) throws IOException {
    Path file = directory.resolve("empty.raw");
    try (var raw = new RandomAccessFile(file.toFile(), "rw")) {
      raw.setLength(bytes);
    }
    return file;
  }
}

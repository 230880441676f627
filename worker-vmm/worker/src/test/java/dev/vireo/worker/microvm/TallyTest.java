package dev.vireo.worker.microvm;

import static dev.vireo.proto.vmm.v1.VmmRequest.RequestCase.INSPECT;
import static java.util.stream.Collectors.toMap;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.vireo.proto.vmm.v1.DeviceCounters;
import dev.vireo.proto.vmm.v1.QueueCounters;
import dev.vireo.proto.vmm.v1.VmmInspection;
import dev.vireo.proto.vmm.v1.VmmResponse;
import dev.vireo.worker.vmm.FakeVmm;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import org.junit.jupiter.api.Test;

class TallyTest {
  private final Tally tally = new Tally();

  private static VmmResponse hlts(long count) {
    return VmmResponse.newBuilder()
        .setInspection(VmmInspection.newBuilder().putExits("hlt", count))
        .build();
  }

  private void hear(FakeVmm vmm, VmmResponse response) {
    CompletableFuture<Void> heard = tally.ask(vmm);
    vmm.answer(INSPECT, response);
    heard.join();
  }

  private Map<String, Long> sums() {
    return tally.counters().stream()
        .collect(
            toMap(
                counter ->
                    "%s %s %s".formatted(counter.getKind(), counter.getModel(), counter.getName()),
                counter -> counter.getValue()));
  }

  @Test
  void sumsWhatVmmsCountAndCountsNothingTwice() {
    FakeVmm one = new FakeVmm();
    FakeVmm other = new FakeVmm();
    hear(one, hlts(5));
    hear(other, hlts(100));
    hear(one, hlts(7));
    hear(one, hlts(7));
    assertEquals(Map.of("EXITS  hlt", 107L), sums());
  }

  @Test
  void countsWhatTheWorkersServicesSeeBesides() {
    tally.count("metadata", "requests");
    tally.count("metadata", "requests");
    tally.count("dns", "queries");
    assertEquals(Map.of("SERVICE metadata requests", 2L, "SERVICE dns queries", 1L), sums());
  }

  @Test
  void whatHasEndedStaysInTheSums() {
    FakeVmm one = new FakeVmm();
    hear(one, hlts(5));
    tally.forget(one);
    assertEquals(Map.of("EXITS  hlt", 5L), sums());
    hear(new FakeVmm(), hlts(3));
    assertEquals(Map.of("EXITS  hlt", 8L), sums());
  }

  @Test
  void anAnswerThatComesAfterTheEndCountsNothing() {
    FakeVmm one = new FakeVmm();
    hear(one, hlts(5));
    CompletableFuture<Void> late = tally.ask(one);
    tally.forget(one);
    one.answer(INSPECT, hlts(9));
    late.join();
    assertEquals(Map.of("EXITS  hlt", 5L), sums());
  }

  @Test
  void noGuestIsWokenForIt() {
    FakeVmm one = new FakeVmm();
    CompletableFuture<Void> _ = tally.ask(one);
    assertTrue(one.requests().getFirst().getInspect().getCountersOnly());
  }

  @Test
  void noAnswerIsNoHarm() {
    FakeVmm one = new FakeVmm();
    CompletableFuture<Void> never = tally.ask(one);
    one.dies();
    never.join();
    assertTrue(tally.counters().isEmpty());
  }

  @Test
  void aVmmIsAskedOnceAtATime() {
    FakeVmm one = new FakeVmm();
    CompletableFuture<Void> first = tally.ask(one);
    assertTrue(tally.ask(one).isDone());
    assertFalse(first.isDone());
    one.answer(INSPECT, hlts(1));
    first.join();
    assertEquals(1, one.requests().size());
  }

  /** Ids are in no name: of two disks there is one series. */
  @Test
  void devicesAreToldByModel() {
    DeviceCounters.Builder disk =
        DeviceCounters.newBuilder()
            .setModel("blk")
            .putCounters("bytes_read", 512)
            .addQueues(
                QueueCounters.newBuilder()
                    .setNotifications(1)
                    .setInterrupts(2)
                    .setInterruptsSuppressed(3)
                    .setRequests(4));
    hear(
        new FakeVmm(),
        VmmResponse.newBuilder()
            .setInspection(
                VmmInspection.newBuilder()
                    .addDevices(disk.setId("root"))
                    .addDevices(disk.setId("data.1"))
                    .putExits("mmio.root.interrupt_ack", 10)
                    .putExits("mmio.data.1.interrupt_ack", 20)
                    .putExits("mmio.data.1.config", 1)
                    .putExits("mmio.unassigned", 2))
            .build());
    assertEquals(
        Map.of(
            "REGISTER_EXITS blk interrupt_ack", 30L,
            "REGISTER_EXITS blk config", 1L,
            "EXITS  mmio.unassigned", 2L,
            "NOTIFICATIONS blk ", 2L,
            "INTERRUPTS blk ", 4L,
            "INTERRUPTS_SUPPRESSED blk ", 6L,
            "REQUESTS blk ", 8L,
            "DEVICE blk bytes_read", 1024L),
        sums());
  }
}

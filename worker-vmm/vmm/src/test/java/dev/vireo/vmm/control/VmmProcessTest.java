package dev.vireo.vmm.control;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.vireo.linux.Fd;
import dev.vireo.linux.ProcessHandleFd;
import dev.vireo.proto.errors.ErrorReason;
import dev.vireo.proto.vmm.v1.EndCause;
import dev.vireo.proto.vmm.v1.VmmResponse;
import dev.vireo.proto.vmm.v1.VmmState;
import dev.vireo.proto.vmm.v1.VmmStatus;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/** The VMM as a process, spoken to as a worker does, with the probe as its guest. */
@Tag("kvm")
final class VmmProcessTest {
  private static final String PROBE =
      Path.of(System.getProperty("vireo.root"), "ops/guest/probe/build/probe.elf").toString();

  private final Fd kvm = Fd.open("/dev/kvm", Fd.O_RDWR);
  private final Fd probe = Fd.open(PROBE, Fd.O_RDONLY);
  private final Fd console = Fd.memory("console", 0);
  private final Fd exitRecord = Fd.memory("exit record", 0);
  private final VmmClient vmm;

  VmmProcessTest() throws IOException {
    vmm = VmmClient.spawn();
  }

  @AfterEach
  void close() {
    vmm.close();
    kvm.close();
    probe.close();
    console.close();
    exitRecord.close();
  }

  private VmmClient.Create create(String commandLine) {
    return new VmmClient.Create(kvm, probe, console, exitRecord).commandLine(commandLine);
  }

  private static byte[] contents(Fd file) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment bytes = arena.allocate(Math.max(file.size(), 1));
      return bytes.asSlice(0, file.readFully(bytes, 0)).toArray(ValueLayout.JAVA_BYTE);
    }
  }

  private String consoleText() {
    return new String(contents(console), StandardCharsets.ISO_8859_1);
  }

  private void assertExitRecord(VmmStatus last) throws IOException {
    assertEquals(last, VmmStatus.parseFrom(contents(exitRecord)));
  }

  private void assertExitsByItself() {
    assertEquals(Optional.of(new ProcessHandleFd.Exit.Status(0)), vmm.awaitExit(), vmm::log);
  }

  @Test
  void idleUntilAskedAndGoneWhenReleased() {
    VmmStatus status = vmm.status().getStatus();
    assertEquals(VmmState.VMM_IDLE, status.getState());
    assertEquals(vmm.process().pid(), status.getPid());
    assertEquals("", vmm.release().getErrorReason());
    assertExitsByItself();
  }

  @Test
  void runsAGuestToItsEnd() throws IOException {
    VmmResponse created = vmm.create(create("probe.run=hello"));
    assertEquals("", created.getErrorReason(), created::getErrorMessage);
    assertEquals("uid-1", created.getStatus().getMicrovmUid());
    VmmStatus end = vmm.awaitEnd();
    assertEquals(EndCause.END_GUEST_POWER_OFF, end.getEndCause());
    assertTrue(consoleText().contains("probe: passed"), this::consoleText);
    assertEquals(console.size(), end.getConsoleBytes());
    assertTrue(end.getTimings().getFirstRunNs() > end.getTimings().getVmCreatedNs());
    assertTrue(end.getTimings().getFirstExitNs() > end.getTimings().getFirstRunNs());
    assertTrue(end.getTimings().getFirstConsoleByteNs() > end.getTimings().getFirstRunNs());
    assertExitRecord(end);
    assertFalse(vmm.process().hasExited(), "it waits for release");
    assertEquals("", vmm.release().getErrorReason());
    assertExitsByItself();
  }

  @Test
  void aWorkerThatComesBackFindsTheGuestRunning() {
    vmm.create(create("probe.run=tick probe.interval_ms=1"));
    vmm.disconnect();
    vmm.connect();
    VmmStatus status = vmm.status().getStatus();
    assertEquals(VmmState.VMM_RUNNING, status.getState());
    assertEquals("uid-1", status.getMicrovmUid());
    assertEquals(ErrorReason.STATE_CONFLICT.name(), vmm.release().getErrorReason());
    vmm.stop(0);
    assertEquals(EndCause.END_STOPPED_BY_REQUEST, vmm.awaitEnd().getEndCause());
  }

  @Test
  void withoutAWorkerTheEndIsWrittenDownAndTheProcessGoes() throws IOException {
    vmm.create(create("probe.run=tick probe.interval_ms=1 probe.ops=100"));
    vmm.disconnect();
    assertExitsByItself();
    VmmStatus last = VmmStatus.parseFrom(contents(exitRecord));
    assertEquals(VmmState.VMM_ENDED, last.getState());
    assertEquals(EndCause.END_GUEST_POWER_OFF, last.getEndCause());
    assertTrue(consoleText().contains("tick=99"), this::consoleText);
  }

  @Test
  void theGuestIsAskedBeforeItIsStopped() {
    vmm.create(create("probe.run=idle"));
    vmm.awaitStatus(VmmStatus::getConsoleReady);
    assertEquals("", vmm.stop(30_000).getErrorReason());
    VmmStatus end = vmm.awaitEnd();
    assertEquals(EndCause.END_STOPPED_BY_REQUEST, end.getEndCause());
    assertEquals("the guest powered off as asked", end.getEndMessage());
  }

  @Test
  void aGuestThatDoesNotHeedIsStoppedAfterTheGrace() {
    vmm.create(create("probe.run=spin"));
    vmm.awaitStatus(VmmStatus::getConsoleReady);
    vmm.stop(200);
    VmmStatus end = vmm.awaitEnd();
    assertEquals(EndCause.END_STOPPED_BY_REQUEST, end.getEndCause());
    assertTrue(end.getEndMessage().contains("within 200 ms"), end.getEndMessage());
  }

  @Test
  void aPausedGuestStandsStill() {
    vmm.create(create("probe.run=tick probe.interval_ms=1"));
    vmm.awaitStatus(VmmStatus::getConsoleReady);
    for (int round = 0; round < 50; round++) {
      assertEquals(VmmState.VMM_PAUSED, vmm.pause().getStatus().getState());
      long printed = vmm.status().getStatus().getConsoleBytes();
      assertEquals(printed, vmm.status().getStatus().getConsoleBytes());
      assertEquals(VmmState.VMM_RUNNING, vmm.resume().getStatus().getState());
    }
    vmm.stop(10_000);
    assertEquals("the guest powered off as asked", vmm.awaitEnd().getEndMessage());
  }

  @Test
  void aPausedGuestCanBeStopped() {
    vmm.create(create("probe.run=spin"));
    vmm.pause();
    vmm.stop(0);
    assertEquals(EndCause.END_STOPPED_BY_REQUEST, vmm.awaitEnd().getEndCause());
  }

  @Test
  void aFailedCreateSaysWhyAndLeavesAProcessThatCanBeReleased() throws IOException {
    VmmClient.Create create = create("");
    create.request().setMemoryBytes(1 << 20);
    VmmResponse refused = vmm.create(create);
    assertEquals(ErrorReason.MEMORY_TOO_SMALL.name(), refused.getErrorReason());
    assertEquals("memory_mib", refused.getErrorField());
    assertEquals(VmmState.VMM_ENDED, refused.getStatus().getState());
    VmmStatus end = vmm.awaitEnd();
    assertEquals(EndCause.END_SETUP_FAILED, end.getEndCause());
    assertExitRecord(end);
    assertEquals(ErrorReason.STATE_CONFLICT.name(), vmm.create(create("")).getErrorReason());
    vmm.release();
    assertExitsByItself();
  }

  @Test
  void inspectionNamesDevicesAndExits() {
    try (Fd disk = Fd.memory("disk", 1 << 20)) {
      vmm.create(create("probe.run=blk-read probe.ops=100").disk("root", disk));
      vmm.awaitEnd();
      var inspection = vmm.inspect().getInspection();
      assertEquals("blk", inspection.getDevices(0).getModel());
      assertEquals("root", inspection.getDevices(0).getId());
      assertTrue(inspection.getDevices(0).getQueues(0).getRequests() >= 100);
      assertTrue(inspection.getCommandLine().contains("virtio_mmio.device="));
      assertTrue(inspection.getExitsOrThrow("pio.serial") > 0);
      assertFalse(inspection.containsExits("mmio.root.queue_notify"));
      assertTrue(inspection.getVcpuExits(0) > 0);
    }
  }

  @Test
  void outlivesAHostileGuest() {
    try (Fd victim = Fd.memory("victim", 1 << 20);
        Fd bystander = Fd.memory("bystander", 1 << 20)) {
      vmm.create(
          create("probe.run=hostile-all").disk("victim", victim).disk("bystander", bystander));
      assertEquals(EndCause.END_GUEST_POWER_OFF, vmm.awaitEnd().getEndCause());
      assertTrue(consoleText().contains("probe: passed"), this::consoleText);
      var counters = vmm.inspect().getInspection().getDevices(0).getCountersMap();
      for (String reason : List.of("illegal.ring", "illegal.activation", "errors_descriptors")) {
        assertTrue(counters.getOrDefault(reason, 0L) > 0, counters::toString);
      }
      vmm.release();
      assertExitsByItself();
    }
  }

  @Test
  void whatIsNotOurLanguageEndsTheConnectionOnly() {
    vmm.create(create("probe.run=idle"));
    vmm.sendGarbage();
    vmm.disconnect();
    vmm.connect();
    assertEquals(VmmState.VMM_RUNNING, vmm.status().getStatus().getState());
  }

  @Test
  void killedItLeavesAnEmptyExitRecord() {
    vmm.create(create("probe.run=idle"));
    vmm.process().signal(ProcessHandleFd.SIGKILL);
    assertEquals(Optional.of(new ProcessHandleFd.Exit.Signal(9)), vmm.awaitExit());
    assertEquals(0, exitRecord.size());
  }
}

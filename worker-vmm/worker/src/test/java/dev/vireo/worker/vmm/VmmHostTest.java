package dev.vireo.worker.vmm;

import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.vireo.linux.Fd;
import dev.vireo.linux.ProcessHandleFd.Exit;
import dev.vireo.proto.vmm.v1.CreateRequest;
import dev.vireo.proto.vmm.v1.EndCause;
import dev.vireo.proto.vmm.v1.Kernel;
import dev.vireo.proto.vmm.v1.SerialConsole;
import dev.vireo.proto.vmm.v1.StatusRequest;
import dev.vireo.proto.vmm.v1.StopRequest;
import dev.vireo.proto.vmm.v1.VmmRequest;
import dev.vireo.proto.vmm.v1.VmmResponse;
import dev.vireo.proto.vmm.v1.VmmState;
import dev.vireo.proto.vmm.v1.VmmStatus;
import dev.vireo.proto.worker.v1.VmmRecord;
import dev.vireo.worker.cgroup.VmmGroups;
import dev.vireo.worker.state.StateDirectory;
import dev.vireo.worker.time.SystemTime;
import dev.vireo.worker.vmm.VmmAdoption.Found;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.CompletionException;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Real processes: started, spoken to, killed, and found again by the next worker. */
class VmmHostTest {
  private static final String BOOT = "this-boot";
  private static final String UID = "uid-1";

  @TempDir private Path temporary;
  private final SystemTime time = new SystemTime();
  private final List<Long> pids = new ArrayList<>();
  private StateDirectory state;
  private VmmProgram program;
  private VmmGroups groups;
  private VmmHost host;

  @BeforeEach
  void open() throws Exception {
    state = StateDirectory.open(temporary.resolve("node"));
    groups = VmmGroups.of(state.nodeUid(), time);
    program = ScriptedVmm.program(temporary.resolve("home"));
    host = host(BOOT, program);
  }

  private VmmHost host(String bootId, VmmProgram of) {
    return new VmmHost(state, of, bootId, groups, new Random(), time, Duration.ofSeconds(20));
  }

  /** What a worker that is killed leaves behind, and the next one finds. */
  private void nextWorker() {
    host.close();
    host = host(BOOT, program);
  }

  @AfterEach
  void close() {
    host.close();
    pids.forEach(pid -> ProcessHandle.of(pid).ifPresent(ProcessHandle::destroyForcibly));
    await()
        .untilAsserted(() -> {
          groups.sweep(List.of());
          assertEquals(Set.of(), groups.vmmIds());
        });
    groups.close();
    time.close();
    state.close();
  }

  private VmmProcess spawn() {
    VmmProcess vmm = (VmmProcess) host.spawn(VmmKind.LEAN).join();
    pids.add((long) vmm.pid());
    return vmm;
  }

  /** A child that has ended and that nobody has reaped yet is not. */
  private static boolean isAlive(Vmm vmm) {
    try {
      String stat = Files.readString(Path.of("/proc/" + vmm.pid() + "/stat"));
      return stat.charAt(stat.lastIndexOf(')') + 2) != 'Z';
    } catch (IOException gone) {
      return false;
    }
  }

  // ---- One worker. ----

  @Test
  void startsAnIdleVmmWithARecord() throws Exception {
    VmmProcess vmm = spawn();
    VmmRecord record = vmm.directory().read().orElseThrow();
    assertEquals(vmm.pid(), record.getPid());
    assertTrue(record.getStartTicks() > 0);
    assertEquals(BOOT, record.getBootId());
    assertEquals("", record.getMicrovmUid());
    assertEquals(List.of(vmm.id()), state.vmmIds());
  }

  @Test
  void aVmmHasAControlGroupUntilItIsRemoved() {
    VmmProcess vmm = spawn();
    assertEquals(Set.of(vmm.id()), groups.vmmIds());
    vmm.discard();
    await().until(() -> groups.vmmIds().isEmpty());
  }

  @Test
  void theNextWorkerRemovesWhatAKilledOneLeftInControlGroups() throws Exception {
    VmmProcess vmm = spawn();
    groups.add("00000000", vmm.pid()); // Of a VMM whose directory is gone already.
    groups.add(vmm.id(), vmm.pid());
    nextWorker();
    host.sweepGroups();
    await().until(() -> groups.vmmIds().equals(Set.of(vmm.id())));
  }

  @Test
  void passesDescriptorsAndHearsOfTheEnd() throws Exception {
    VmmProcess vmm = spawn();
    Events events = new Events();
    vmm.listen(events);
    assertEquals(VmmState.VMM_RUNNING, create(vmm, "poweroff").getStatus().getState());
    await().until(() -> events.statuses.size() == 1);
    assertEquals(EndCause.END_GUEST_POWER_OFF, events.statuses.getFirst().getEndCause());
    assertEquals("poweroff\n", Files.readString(temporary.resolve("console")));
    vmm.kill();
    await().until(() -> events.exits.size() == 1);
    assertEquals(new Exit.Signal(9), events.exits.getFirst().how());
    assertEquals(
        EndCause.END_GUEST_POWER_OFF,
        events.exits.getFirst().lastWords().orElseThrow().getEndCause());
  }

  @Test
  void aDeadVmmFailsWhatItOwesAndIsReaped() throws Exception {
    VmmProcess vmm = spawn();
    Events events = new Events();
    vmm.listen(events);
    CompletionException failure =
        assertThrows(CompletionException.class, () -> create(vmm, "crash"));
    assertInstanceOf(VmmGoneException.class, failure.getCause());
    await().until(() -> events.exits.size() == 1);
    assertEquals(new Exit.Status(42), events.exits.getFirst().how());
    assertTrue(events.exits.getFirst().lastWords().isEmpty());
    assertFalse(ProcessHandle.of(vmm.pid()).isPresent(), "no zombie");
    assertTrue(status(vmm).isCompletedExceptionally());
    Events late = new Events();
    vmm.listen(late);
    assertEquals(1, late.exits.size(), "an end that came before is told at once");
    vmm.remove();
    assertEquals(List.of(), state.vmmIds());
  }

  @Test
  void aProgramThatIsNotThereLeavesNothing() {
    VmmProgram none = new VmmProgram(Path.of("/no/such"), List.of(), Map.of(), program.home());
    try (VmmHost broken = host(BOOT, none)) {
      CompletionException failure =
          assertThrows(CompletionException.class, () -> broken.spawn(VmmKind.LEAN).join());
      assertInstanceOf(VmmGoneException.class, failure.getCause());
    }
    assertEquals(List.of(), state.vmmIds());
  }

  @Test
  void aProgramThatFailsTellsItsLastWordsAndLeavesNothing() {
    VmmProgram failing =
        new VmmProgram(
            Path.of("/bin/sh"),
            List.of("-c", "echo no memory for me; exit 3"),
            Map.of(),
            program.home());
    try (VmmHost broken = host(BOOT, failing)) {
      CompletionException failure =
          assertThrows(CompletionException.class, () -> broken.spawn(VmmKind.LEAN).join());
      String message = String.valueOf(failure.getMessage());
      assertTrue(message.contains("exited with status 3"), message);
      assertTrue(message.contains("no memory for me"), message);
      await().until(() -> state.vmmIds().isEmpty());
    }
  }

  @Test
  void anOvergrownLogIsCut() throws Exception {
    VmmProcess vmm = spawn();
    Files.write(vmm.directory().log(), new byte[2 << 20]);
    host.capLogs();
    assertEquals(0, Files.size(vmm.directory().log()));
  }

  // ---- And the next. ----

  @Test
  void findsARunningVmmAgain() throws Exception {
    VmmProcess before = spawn();
    create(before, "run");
    nextWorker();
    Found.Running found = assertInstanceOf(Found.Running.class, onlyFound());
    assertEquals(before.pid(), found.vmm().pid());
    assertEquals(UID, found.status().getMicrovmUid());
    Events events = new Events();
    found.vmm().listen(events);
    found.vmm().kill();
    await().until(() -> !events.exits.isEmpty());
    assertTrue(events.exits.getFirst().lastWords().isEmpty());
  }

  @Test
  void whatComesBeforeAnyoneListensIsHeardLater() throws Exception {
    create(spawn(), "run");
    nextWorker();
    Found.Running found = assertInstanceOf(Found.Running.class, onlyFound());
    var _ =
        found
            .vmm()
            .request(VmmRequest.newBuilder().setStop(StopRequest.getDefaultInstance()), List.of())
            .join();
    VmmDirectory directory = new VmmDirectory(state.vmm(found.vmm().id()));
    // And a while, in which the event is read.
    await().pollDelay(Duration.ofMillis(300)).until(() -> directory.lastWords().isPresent());
    Events events = new Events();
    found.vmm().listen(events);
    await().untilAsserted(() -> assertEquals(1, events.statuses.size()));
    assertEquals(VmmState.VMM_ENDED, events.statuses.getFirst().getState());
  }

  /** The answer was made before the event, and sent after it. */
  @Test
  void anEndIsHeardThoughAnOlderAnswerCameAfterIt() throws Exception {
    create(spawn(), "overtaken");
    nextWorker();
    Found.Running found = assertInstanceOf(Found.Running.class, onlyFound());
    assertEquals(VmmState.VMM_RUNNING, found.status().getState());
    Events events = new Events();
    found.vmm().listen(events);
    assertEquals(
        List.of(VmmState.VMM_ENDED), events.statuses.stream().map(VmmStatus::getState).toList());
  }

  /** Its worker was killed between its record and its group. */
  @Test
  void anIdleVmmWithoutAControlGroupHasOneAgain() throws Exception {
    VmmProcess before = spawn();
    groups.add("00000000", before.pid()); // A process leaves a group for another one only.
    groups.remove(before.id());
    await().until(() -> groups.vmmIds().equals(Set.of("00000000")));
    nextWorker();
    assertInstanceOf(Found.Idle.class, onlyFound());
    groups.remove("00000000");
    await().until(() -> groups.vmmIds().equals(Set.of(before.id())));
  }

  @Test
  void findsAnIdleVmmAgain() {
    VmmProcess before = spawn();
    nextWorker();
    Found.Idle found = assertInstanceOf(Found.Idle.class, onlyFound());
    assertEquals(before.pid(), found.vmm().pid());
  }

  @Test
  void aVmmThatWasAssignedAndNeverToldIsIdleAgain() throws Exception {
    VmmProcess before = spawn();
    before.assign(UID, 1).close();
    nextWorker();
    assertInstanceOf(Found.Idle.class, onlyFound());
    assertEquals("", before.directory().read().orElseThrow().getMicrovmUid());
  }

  @Test
  void anIdleVmmOfAKindThatIsNotPooledIsEnded() throws Exception {
    VmmProcess before = (VmmProcess) host.spawn(VmmKind.FAST).join();
    pids.add((long) before.pid());
    nextWorker();
    assertEquals(List.of(), adopt());
    assertFalse(isAlive(before));
  }

  @Test
  void anIdleVmmOfAnotherBuildIsEnded() throws Exception {
    VmmProcess before = spawn();
    program = ScriptedVmm.program(temporary.resolve("newer"));
    nextWorker();
    assertEquals(List.of(), adopt());
    assertFalse(isAlive(before));
    assertEquals(List.of(), state.vmmIds());
  }

  @Test
  void whatRunsSomethingElseThanItsRecordSaysIsEnded() throws Exception {
    VmmProcess before = spawn();
    create(before, "run");
    before.assign("uid-2", 1).close();
    nextWorker();
    Found.Gone gone = assertInstanceOf(Found.Gone.class, onlyFound());
    assertEquals("uid-2", gone.record().getMicrovmUid());
    assertFalse(isAlive(before));
  }

  @Test
  void oneThatDoesNotAnswerIsEndedAndDoesNotHoldTheNodeUp() throws Exception {
    VmmProcess before = spawn();
    create(before, "run");
    nextWorker();
    String pid = Long.toString(before.pid());
    assertEquals(0, new ProcessBuilder("kill", "-STOP", pid).start().waitFor());
    // A thread stops when it gets round to it: until then it may answer.
    await().until(() -> isStopped(pid));

    List<Found> found = new VmmAdoption(host, Duration.ofMillis(200)).run();

    Found.Gone gone = assertInstanceOf(Found.Gone.class, found.getFirst());
    assertEquals("its VMM process does not answer within 200 ms, and was ended", gone.how());
    assertFalse(isAlive(before));
  }

  private static boolean isStopped(String pid) throws IOException {
    try (Stream<Path> threads = Files.list(Path.of("/proc", pid, "task"))) {
      for (Path thread : threads.toList()) {
        String stat = Files.readString(thread.resolve("stat"));
        // proc(5): the state comes after the name, which is in parentheses.
        if (!stat.substring(stat.lastIndexOf(')')).startsWith(") T ")) {
          return false;
        }
      }
      return true;
    }
  }

  @Test
  void aDeadVmmsLastWordsAreFound() throws Exception {
    VmmProcess before = spawn();
    Events events = new Events();
    before.listen(events);
    create(before, "poweroff");
    await().until(() -> !events.statuses.isEmpty());
    before.kill();
    await().until(() -> !isAlive(before));
    nextWorker();
    Found.Gone gone = assertInstanceOf(Found.Gone.class, onlyFound());
    assertEquals(EndCause.END_GUEST_POWER_OFF, gone.lastWords().orElseThrow().getEndCause());
    gone.remove().run();
    assertEquals(List.of(), state.vmmIds());
  }

  /** Its pid may be anybody's by now: nobody is signalled. */
  @Test
  void aProcessOfAnotherBootOrStartTimeIsNotOurs() throws Exception {
    VmmProcess before = spawn();
    create(before, "run");
    VmmRecord record = before.directory().read().orElseThrow();
    before.directory().write(record.toBuilder().setBootId("earlier-boot").build());
    nextWorker();
    assertInstanceOf(Found.Gone.class, onlyFound());
    before.directory().write(record.toBuilder().setStartTicks(record.getStartTicks() - 1).build());
    nextWorker();
    assertInstanceOf(Found.Gone.class, onlyFound());
    assertTrue(isAlive(before));
  }

  @Test
  void aProcessWhoseWorkerWasKilledBeforeItsRecordIsAskedToEnd() throws Exception {
    VmmProcess before = spawn();
    before
        .directory()
        .write(before.directory().read().orElseThrow().toBuilder().clearPid().build());
    nextWorker();
    assertEquals(List.of(), adopt());
    await().until(() -> !isAlive(before));
    assertEquals(List.of(), state.vmmIds());
  }

  @Test
  void anEmptyDirectoryIsRemoved() throws Exception {
    Files.createDirectory(state.vmm("0a0b0c0d"));
    assertEquals(List.of(), adopt());
    assertEquals(List.of(), state.vmmIds());
  }

  // ---- What the tests are made of. ----

  private List<Found> adopt() {
    return new VmmAdoption(host, Duration.ofSeconds(20)).run();
  }

  private Found onlyFound() {
    List<Found> found = adopt();
    assertEquals(1, found.size());
    return found.getFirst();
  }

  private static java.util.concurrent.CompletableFuture<VmmResponse> status(Vmm vmm) {
    return vmm.request(
        VmmRequest.newBuilder().setStatus(StatusRequest.getDefaultInstance()), List.of());
  }

  private VmmResponse create(Vmm vmm, String script) throws Exception {
    try (Fd console =
            Fd.open(
                temporary.resolve("console").toString(),
                Fd.O_RDWR | Fd.O_CREAT | Fd.O_APPEND,
                0600);
        Fd exitRecord = vmm.assign(UID, 1)) {
      CreateRequest.Builder create =
          CreateRequest.newBuilder()
              .setMicrovmUid(UID)
              .setAttempt(1)
              .setConsole(SerialConsole.newBuilder().setOutputFd(0))
              .setExitRecordFd(1)
              .setKernel(Kernel.newBuilder().setCommandLine(script));
      return vmm.request(VmmRequest.newBuilder().setCreate(create), List.of(console, exitRecord))
          .join();
    }
  }

  private static final class Events implements VmmListener {
    private final List<VmmStatus> statuses = new CopyOnWriteArrayList<>();
    private final List<VmmExit> exits = new CopyOnWriteArrayList<>();

    @Override
    public void onStatus(VmmStatus status) {
      statuses.add(status);
    }

    @Override
    public void onExit(VmmExit exit) {
      exits.add(exit);
    }
  }
}

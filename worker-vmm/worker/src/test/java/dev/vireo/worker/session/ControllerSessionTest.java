package dev.vireo.worker.session;

import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.vireo.proto.errors.ErrorReason;
import dev.vireo.proto.errors.Errors;
import dev.vireo.proto.worker.v1.Assignment;
import dev.vireo.proto.worker.v1.CancelLog;
import dev.vireo.proto.worker.v1.CancelTrace;
import dev.vireo.proto.worker.v1.ControllerMessage;
import dev.vireo.proto.worker.v1.Inspect;
import dev.vireo.proto.worker.v1.MicroVmReport;
import dev.vireo.proto.worker.v1.ReadLog;
import dev.vireo.proto.worker.v1.ReadTrace;
import dev.vireo.proto.worker.v1.WorkerMessage;
import dev.vireo.worker.time.ManualTime;
import dev.vireo.worker.time.SystemTime;
import dev.vireo.worker.time.Time;
import io.grpc.StatusRuntimeException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A session over a real transport, through its controller's coming and going. */
class ControllerSessionTest {
  private final SystemTime time = new SystemTime();
  private final RecordingNode node = new RecordingNode();
  private FakeController controller;
  private ControllerSession session;

  @BeforeEach
  void connect() throws Exception {
    controller = FakeController.onLoopback();
    session = session(controller.address());
  }

  private ControllerSession session(ControllerAddress address) {
    return session(address, time);
  }

  private ControllerSession session(ControllerAddress address, Time clock) {
    return session(List.of(address), clock);
  }

  private ControllerSession session(List<ControllerAddress> addresses, Time clock) {
    return new ControllerSession(
        ControllerChannel.to(addresses),
        node,
        clock,
        new Backoff(Duration.ofMillis(10), Duration.ofMillis(50), new Random(1)));
  }

  @AfterEach
  void disconnect() throws Exception {
    session.close();
    controller.close();
    time.close();
  }

  @Test
  void saysHelloFirstAndHandsOverWhatIsDesired() {
    controller.assign(Assignment.newBuilder().setUid("u1").build());
    session.start();
    await().until(() -> node.told.contains("welcome 1"));
    assertTrue(session.isWelcome());
    assertTrue(controller.received().getFirst().hasHello());
    controller.assign(Assignment.newBuilder().setUid("u2").build());
    controller.remove("u1", false);
    await().until(() -> node.told.equals(List.of("welcome 1", "change u2", "change u1")));
  }

  @Test
  void answersQuestions() {
    session.start();
    await().until(session::isWelcome);
    controller.send(
        ControllerMessage.newBuilder().setReadLog(ReadLog.newBuilder().setStreamId(7)).build());
    controller.send(
        ControllerMessage.newBuilder().setInspect(Inspect.newBuilder().setRequestId(8)).build());
    controller.send(
        ControllerMessage.newBuilder().setCancelLog(CancelLog.newBuilder().setStreamId(7)).build());
    controller.send(
        ControllerMessage.newBuilder().setReadTrace(ReadTrace.newBuilder().setStreamId(9)).build());
    controller.send(
        ControllerMessage.newBuilder()
            .setCancelTrace(CancelTrace.newBuilder().setStreamId(9))
            .build());
    await().until(() -> node.told.contains("cancel 7") && node.told.contains("cancel trace 9"));
    await()
        .until(() ->
            controller.received().stream()
                    .anyMatch(m -> m.hasLogChunk() && m.getLogChunk().getStreamId() == 7)
                && controller.received().stream()
                    .anyMatch(m -> m.hasInspectResult() && m.getInspectResult().getRequestId() == 8)
                && controller.received().stream()
                    .anyMatch(m -> m.hasTraceChunk() && m.getTraceChunk().getStreamId() == 9));
  }

  @Test
  void beatsThreeTimesALease() {
    controller.lease(300);
    session.start();
    await().until(() -> heartbeats() >= 3);
    WorkerMessage beat =
        controller.received().stream()
            .filter(WorkerMessage::hasHeartbeat)
            .findFirst()
            .orElseThrow();
    assertEquals(3, beat.getHeartbeat().getWarmVmms());
  }

  @Test
  void aHeartbeatThatFailsIsNotTheLast() {
    node.heartbeatsThatFail.set(1);
    controller.lease(300);
    session.start();
    await().until(() -> heartbeats() >= 1);
  }

  private long heartbeats() {
    return controller.received().stream().filter(WorkerMessage::hasHeartbeat).count();
  }

  @Test
  void aReportThatFindsNoSessionComesWithTheNextHello() throws Exception {
    session.start();
    await().until(session::isWelcome);
    int port = controller.port();
    controller.close();
    await().until(() -> node.told.contains("disconnected"));
    MicroVmReport report = MicroVmReport.newBuilder().setUid("u1").build();
    node.reports.add(report);
    session.report(report);
    controller = FakeController.onPort(port);
    await().until(session::isWelcome);
    assertEquals(report, controller.received().getFirst().getHello().getReports(0));
    assertEquals(1, controller.received().size());
  }

  @Test
  void dialsAgainAfterTheControllerHangsUp() {
    session.start();
    await().until(session::isWelcome);
    controller.hangUp();
    await().until(() -> node.told.equals(List.of("welcome 0", "disconnected", "welcome 0")));
  }

  @Test
  void reportsReachTheController() {
    session.start();
    await().until(session::isWelcome);
    session.report(MicroVmReport.newBuilder().setUid("u1").setRestarts(4).build());
    await().until(() -> controller.lastReport("u1").isPresent());
    assertEquals(4, controller.lastReport("u1").orElseThrow().getRestarts());
  }

  @Test
  void speaksOverAUnixSocket(@TempDir Path directory) throws Exception {
    Path socket = directory.resolve("controller.sock");
    try (FakeController unix = FakeController.onSocket(socket);
        ControllerSession overUnix = session(new ControllerAddress.Unix(socket))) {
      overUnix.start();
      await().until(overUnix::isWelcome);
      assertTrue(unix.received().getFirst().hasHello());
    }
  }

  /** An emulated machine may take a minute to load what it says the Hello with. */
  @Test
  void theTimeForAWelcomeBeginsWithTheHello() {
    ManualTime slow = new ManualTime();
    node.beforeHello = () -> slow.pass(Duration.ofMinutes(1));
    try (var onSlowMachine = session(controller.address(), slow)) {
      onSlowMachine.start();
      await().until(onSlowMachine::isWelcome);
    }
  }

  @Test
  void aControllerThatDoesNotWelcomeIsLeft() {
    controller.withholdWelcome();
    ManualTime manual = new ManualTime();
    try (var unwelcome = session(controller.address(), manual)) {
      unwelcome.start();
      await().until(() -> !controller.received().isEmpty());
      manual.pass(Duration.ofSeconds(30));
      await().until(() -> node.told.contains("disconnected"));
    }
  }

  @Test
  void theLeaderThatAFollowerNamesIsDialled() throws Exception {
    try (FakeController follower = FakeController.onLoopback();
        ControllerSession led = session(List.of(follower.address()), time)) {
      follower.refuse(notLeader(controller.address().toString()));
      led.start();
      await().until(led::isWelcome);
      assertEquals(1, follower.received().size());
      assertTrue(controller.received().getFirst().hasHello());
    }
  }

  @Test
  void aNamedLeaderThatCannotBeReachedIsNotAllThereIs() throws Exception {
    FakeController gone = FakeController.onLoopback();
    String nowhere = gone.address().toString();
    gone.close();
    try (FakeController follower = FakeController.onLoopback();
        ControllerSession led = session(List.of(follower.address(), controller.address()), time)) {
      follower.refuse(notLeader(nowhere));
      led.start();
      await().until(led::isWelcome);
      assertEquals(1, controller.received().size());
      assertEquals(nowhere, controller.received().getFirst().getHello().getUnreachableLeader());
    }
  }

  @Test
  void whenItsControllerIsGoneTheNextIsDialled() throws Exception {
    try (FakeController other = FakeController.onLoopback();
        ControllerSession led = session(List.of(controller.address(), other.address()), time)) {
      led.start();
      await().until(led::isWelcome);
      int port = controller.port();
      controller.close();
      await().until(() -> !other.received().isEmpty());
      await().until(led::isWelcome);
      controller = FakeController.onPort(port);
      other.hangUp();
      await().until(() -> !controller.received().isEmpty());
    }
  }

  @Test
  void aControllerThatAnswersHeartbeatsNoLongerIsLeft() throws Exception {
    ManualTime manual = new ManualTime();
    controller.answerHeartbeats(true);
    try (FakeController other = FakeController.onLoopback();
        ControllerSession led = session(List.of(controller.address(), other.address()), manual)) {
      led.start();
      await().until(led::isWelcome);
      for (int beat = 1; beat <= 3; beat++) {
        manual.pass(Duration.ofSeconds(10));
        awaitHeartbeat(beat);
      }
      assertTrue(led.isWelcome());
      controller.answerHeartbeats(false);
      manual.pass(Duration.ofSeconds(10));
      await().until(() -> heartbeats() == 4);
      manual.pass(Duration.ofSeconds(10));
      await().until(() -> node.told.contains("disconnected"));
      manual.pass(Duration.ofSeconds(1));
      await().until(led::isWelcome);
      assertTrue(other.received().getFirst().hasHello());
    }
  }

  /** And what it is answered. */
  private void awaitHeartbeat(int number) {
    await().until(() -> heartbeats() == number);
    controller.assign(Assignment.newBuilder().setUid("after" + number).build());
    await().until(() -> node.told.contains("change after" + number));
  }

  private static StatusRuntimeException notLeader(String leader) {
    return Errors.of(ErrorReason.NOT_LEADER, "another leads", Map.of("leader", leader));
  }

  @Test
  void isNotWelcomeUntilItIsSaid() {
    controller.withholdWelcome();
    session.start();
    await().until(() -> !controller.received().isEmpty());
    assertFalse(session.isWelcome());
  }
}

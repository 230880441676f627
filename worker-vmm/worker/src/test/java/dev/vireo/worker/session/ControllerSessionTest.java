package dev.vireo.worker.session;

import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

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
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
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
    return new ControllerSession(
        ControllerChannel.to(address),
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
  void isNotWelcomeUntilItIsSaid() {
    controller.withholdWelcome();
    session.start();
    await().until(() -> !controller.received().isEmpty());
    assertFalse(session.isWelcome());
  }
}

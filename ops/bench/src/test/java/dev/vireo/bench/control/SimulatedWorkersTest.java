package dev.vireo.bench.control;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.vireo.proto.worker.v1.Assignment;
import dev.vireo.proto.worker.v1.ControllerMessage;
import dev.vireo.proto.worker.v1.DesiredChange;
import dev.vireo.proto.worker.v1.Hello;
import dev.vireo.proto.worker.v1.MicroVmReport;
import dev.vireo.proto.worker.v1.Removal;
import dev.vireo.proto.worker.v1.Welcome;
import dev.vireo.proto.worker.v1.WorkerMessage;
import dev.vireo.proto.worker.v1.WorkerServiceGrpc.WorkerServiceImplBase;
import io.grpc.Status;
import io.grpc.stub.StreamObserver;
import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

final class SimulatedWorkersTest {
  private final FakeControllers controllers = new FakeControllers();

  @AfterEach
  void close() {
    controllers.close();
  }

  /** Answers each Hello, and keeps what else it hears. */
  private static final class Sessions extends WorkerServiceImplBase {
    private final Consumer<StreamObserver<ControllerMessage>> answer;
    private final BlockingQueue<Hello> hellos = new LinkedBlockingQueue<>();
    private final BlockingQueue<MicroVmReport> reports = new LinkedBlockingQueue<>();
    private final BlockingQueue<StreamObserver<ControllerMessage>> sessions =
        new LinkedBlockingQueue<>();

    Sessions(Consumer<StreamObserver<ControllerMessage>> answer) {
      this.answer = answer;
    }

    static Sessions thatLead() {
      return new Sessions(out ->
          out.onNext(
              ControllerMessage.newBuilder()
                  .setWelcome(
                      Welcome.newBuilder().addAssignments(Assignment.newBuilder().setUid("a")))
                  .build()));
    }

    @Override
    public StreamObserver<WorkerMessage> session(StreamObserver<ControllerMessage> out) {
      return new StreamObserver<>() {
        @Override
        public void onNext(WorkerMessage message) {
          if (message.hasHello()) {
            hellos.add(message.getHello());
            answer.accept(out);
            sessions.add(out);
          } else if (message.hasReport()) {
            reports.add(message.getReport());
          }
        }

        @Override
        public void onError(Throwable error) {}

        @Override
        public void onCompleted() {}
      };
    }
  }

  private static <T> T next(BlockingQueue<T> queue) throws InterruptedException {
    T next = queue.poll(30, TimeUnit.SECONDS);
    assertTrue(next != null, "nothing came");
    return next;
  }

  private static ControllerMessage change(DesiredChange.Builder change) {
    return ControllerMessage.newBuilder().setDesiredChange(change).build();
  }

  @Test
  void whatItIsToldToRunRunsAndWhatItIsToldToRemoveIsGone() throws Exception {
    Sessions leader = Sessions.thatLead();
    controllers.add(leader);
    try (SimulatedWorkers _ = SimulatedWorkers.join(controllers.channels(), 1)) {
      StreamObserver<ControllerMessage> session = next(leader.sessions);
      assertEquals("a", next(leader.reports).getUid());

      session.onNext(change(DesiredChange.newBuilder().setUpsert(assignment("b"))));
      assertEquals("b", next(leader.reports).getUid());
      session.onNext(
          change(DesiredChange.newBuilder().setRemove(Removal.newBuilder().setUid("a"))));
      assertEquals(MicroVmReport.Outcome.REMOVED, next(leader.reports).getOutcome());
    }
  }

  @Test
  void itTurnsToTheLeaderThatIsNamed() throws Exception {
    Sessions leader = Sessions.thatLead();
    FakeControllers others = new FakeControllers();
    String address = others.add(leader);
    controllers.add(new Sessions(out -> out.onError(FakeControllers.notLeader(address))));
    controllers.add(new Sessions(out -> {}));
    try (others;
        SimulatedWorkers _ =
            SimulatedWorkers.join(
                List.of(
                    controllers.channels().get(0),
                    controllers.channels().get(1),
                    others.channels().getFirst()),
                1)) {
      assertEquals("", next(leader.hellos).getUnreachableLeader());
    }
  }

  @Test
  void itTellsTheNextControllerWhatRunsAndWhichOneWentAway() throws Exception {
    Sessions first = Sessions.thatLead();
    Sessions second = Sessions.thatLead();
    String left = controllers.add(first);
    controllers.add(second);
    try (SimulatedWorkers _ = SimulatedWorkers.join(controllers.channels(), 1)) {
      StreamObserver<ControllerMessage> session = next(first.sessions);
      session.onNext(change(DesiredChange.newBuilder().setUpsert(assignment("b"))));
      while (!next(first.reports).getUid().equals("b")) {}

      session.onError(Status.UNAVAILABLE.asRuntimeException());

      Hello hello = next(second.hellos);
      assertEquals(
          List.of("a", "b"),
          hello.getReportsList().stream().map(MicroVmReport::getUid).sorted().toList());
      assertEquals(left, hello.getUnreachableLeader());
      assertFalse(second.reports.stream().anyMatch(report -> report.getUid().equals("a")));
    }
  }

  private static Assignment.Builder assignment(String uid) {
    return Assignment.newBuilder().setUid(uid).setAttempt(1);
  }
}

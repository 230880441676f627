package dev.vireo.worker.session;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.vireo.proto.worker.v1.Heartbeat;
import dev.vireo.proto.worker.v1.Hello;
import dev.vireo.proto.worker.v1.MicroVmReport;
import dev.vireo.proto.worker.v1.WorkerMessage;
import io.grpc.stub.CallStreamObserver;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

class OutboxTest {
  private final Wire wire = new Wire();
  private final Outbox outbox = new Outbox(wire);

  @Test
  void nothingGoesBeforeTheFirst() {
    outbox.report(report("u1", 1));
    outbox.send(heartbeat());
    assertTrue(wire.sent.isEmpty());
    outbox.open(WorkerMessage.newBuilder().setHello(Hello.getDefaultInstance()).build());
    assertEquals(List.of("HELLO", "REPORT", "HEARTBEAT"), wire.kinds());
  }

  @Test
  void aSlowControllerGetsTheLatestReportOnly() {
    outbox.open(WorkerMessage.newBuilder().setHello(Hello.getDefaultInstance()).build());
    wire.ready = false;
    for (int restarts = 0; restarts < 1000; restarts++) {
      outbox.report(report("u1", restarts));
    }
    wire.ready = true;
    outbox.drain();
    assertEquals(2, wire.sent.size());
    assertEquals(999, wire.sent.getLast().getReport().getRestarts());
  }

  @Test
  void whatComesAfterTheEndIsDropped() {
    outbox.open(WorkerMessage.newBuilder().setHello(Hello.getDefaultInstance()).build());
    outbox.close();
    outbox.send(heartbeat());
    outbox.report(report("u1", 1));
    assertEquals(List.of("HELLO"), wire.kinds());
  }

  private static MicroVmReport report(String uid, int restarts) {
    return MicroVmReport.newBuilder().setUid(uid).setRestarts(restarts).build();
  }

  private static WorkerMessage heartbeat() {
    return WorkerMessage.newBuilder().setHeartbeat(Heartbeat.getDefaultInstance()).build();
  }

  private static final class Wire extends CallStreamObserver<WorkerMessage> {
    private final List<WorkerMessage> sent = new ArrayList<>();
    private boolean ready = true;

    List<String> kinds() {
      return sent.stream().map(message -> message.getMessageCase().name()).toList();
    }

    @Override
    public boolean isReady() {
      return ready;
    }

    @Override
    public void onNext(WorkerMessage message) {
      sent.add(message);
    }

    @Override
    public void setOnReadyHandler(Runnable handler) {}

    @Override
    public void disableAutoInboundFlowControl() {}

    @Override
    public void request(int count) {}

    @Override
    public void setMessageCompression(boolean enable) {}

    @Override
    public void onError(Throwable failure) {}

    @Override
    public void onCompleted() {}
  }
}

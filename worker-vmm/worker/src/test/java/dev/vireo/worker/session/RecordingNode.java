package dev.vireo.worker.session;

import dev.vireo.proto.worker.v1.DesiredChange;
import dev.vireo.proto.worker.v1.Heartbeat;
import dev.vireo.proto.worker.v1.Hello;
import dev.vireo.proto.worker.v1.Inspect;
import dev.vireo.proto.worker.v1.InspectResult;
import dev.vireo.proto.worker.v1.LogChunk;
import dev.vireo.proto.worker.v1.MicroVmReport;
import dev.vireo.proto.worker.v1.ReadLog;
import dev.vireo.proto.worker.v1.ReadTrace;
import dev.vireo.proto.worker.v1.TraceChunk;
import dev.vireo.proto.worker.v1.Welcome;
import dev.vireo.worker.agent.Tunnel;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Consumer;

/** A node that writes down what it is told. */
final class RecordingNode implements ControlledNode {
  final List<String> told = new CopyOnWriteArrayList<>();
  final List<MicroVmReport> reports = new CopyOnWriteArrayList<>();
  final List<Tunnel> tunnels = new CopyOnWriteArrayList<>();
  final AtomicInteger heartbeatsThatFail = new AtomicInteger();

  /** What happens while the node gathers what it has to say. */
  Runnable beforeHello = () -> {};

  @Override
  public Hello hello() {
    beforeHello.run();
    return Hello.newBuilder().setNodeId("n1").addAllReports(reports).build();
  }

  @Override
  public Heartbeat heartbeat() {
    if (heartbeatsThatFail.getAndUpdate(left -> Math.max(0, left - 1)) > 0) {
      throw new IllegalStateException("this heartbeat fails");
    }
    return Heartbeat.newBuilder().setWarmVmms(3).build();
  }

  @Override
  public void welcome(Welcome welcome) {
    told.add("welcome " + welcome.getAssignmentsCount());
  }

  @Override
  public void change(DesiredChange change) {
    told.add("change " + change.getUpsert().getUid() + change.getRemove().getUid());
  }

  @Override
  public void readLog(ReadLog request, Consumer<LogChunk> chunks) {
    chunks.accept(LogChunk.newBuilder().setStreamId(request.getStreamId()).setEnd(true).build());
  }

  @Override
  public void cancelLog(long streamId) {
    told.add("cancel " + streamId);
  }

  @Override
  public void inspect(Inspect request, Consumer<InspectResult> answer) {
    answer.accept(InspectResult.newBuilder().setRequestId(request.getRequestId()).build());
  }

  @Override
  public void readTrace(ReadTrace request, Consumer<TraceChunk> chunks) {
    chunks.accept(TraceChunk.newBuilder().setStreamId(request.getStreamId()).setEnd(true).build());
  }

  @Override
  public void cancelTrace(long streamId) {
    told.add("cancel trace " + streamId);
  }

  @Override
  public void serve(String uid, Tunnel tunnel) {
    told.add("serve " + uid);
    tunnels.add(tunnel);
  }

  @Override
  public void disconnected() {
    told.add("disconnected");
  }
}

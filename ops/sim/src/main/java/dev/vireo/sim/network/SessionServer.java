package dev.vireo.sim.network;

import dev.vireo.proto.worker.v1.ControllerMessage;
import dev.vireo.proto.worker.v1.WorkerMessage;
import dev.vireo.sim.kernel.SimProcess;
import io.grpc.stub.StreamObserver;

/**
 * A controller that workers can dial.
 *
 * @param process of the controller
 * @param cable what connects it with workers
 * @param sessions what it makes of a stream
 */
public record SessionServer(SimProcess process, Cable cable, Sessions sessions) {
  /** The service's one method. */
  @FunctionalInterface
  public interface Sessions {
    StreamObserver<WorkerMessage> open(StreamObserver<ControllerMessage> toWorker);
  }
}

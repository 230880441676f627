package dev.vireo.sim.network;

import dev.vireo.proto.worker.v1.ControllerMessage;
import dev.vireo.proto.worker.v1.WorkerMessage;
import dev.vireo.sim.kernel.SimProcess;
import io.grpc.ClientCall;
import io.grpc.Metadata;
import io.grpc.Status;
import io.grpc.stub.ServerCallStreamObserver;
import io.grpc.stub.StreamObserver;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/**
 * One stream between a worker and a controller, both ends of it. Either end may hear much later
 * than the other that it is over, and may speak into the void until then.
 */
final class SimCall extends ClientCall<WorkerMessage, ControllerMessage> {
  private final SimProcess worker;
  private final Link link;
  private final Supplier<SessionServer> servers;
  private final Pipe toWorker;
  private final Runnable cut = this::cut;
  private @Nullable Cable cable;
  private @Nullable Pipe toController;
  private @Nullable Listener<ControllerMessage> listener;
  private @Nullable StreamObserver<WorkerMessage> controllerSide;
  private @Nullable ServerStream serverStream;
  private boolean workerKnowsTheEnd;

  SimCall(SimProcess worker, Link link, Supplier<SessionServer> servers) {
    this.worker = worker;
    this.link = link;
    this.servers = servers;
    this.toWorker = new Pipe(worker, link);
    worker.onKill(cut);
  }

  boolean isOver() {
    return toWorker.isCut();
  }

  // ---- the worker's end

  @Override
  public void start(Listener<ControllerMessage> responses, Metadata headers) {
    listener = responses;
    SessionServer server = servers.get();
    if (!link.isUp() || !server.cable().isUp() || !server.process().isAlive()) {
      toWorker.cut(() -> close(Status.UNAVAILABLE.withDescription("nobody answers")));
      return;
    }
    Pipe pipe = new Pipe(server.process(), link);
    toController = pipe;
    ServerStream stream = new ServerStream(server.process());
    serverStream = stream;
    server.process().onKill(cut);
    server.cable().carry(cut);
    cable = server.cable();
    pipe.send(() -> controllerSide = server.sessions().open(stream));
    // The way back exists once the way there was found.
    worker.execute(responses::onReady);
  }

  @Override
  public boolean isReady() {
    return toController != null && toController.hasRoom();
  }

  @Override
  public void sendMessage(WorkerMessage message) {
    Pipe pipe = toController;
    if (pipe == null || workerKnowsTheEnd) {
      return;
    }
    boolean ready = isReady();
    send(pipe, message);
    if (message.hasReport() && link.doubles()) {
      send(pipe, message);
    }
    if (ready && !isReady()) {
      awaitRoom(pipe);
    }
  }

  private void send(Pipe pipe, WorkerMessage message) {
    worker.say("says " + Wire.line(message));
    pipe.send(() -> {
      if (controllerSide != null) {
        controllerSide.onNext(message);
      }
    });
  }

  private void awaitRoom(Pipe pipe) {
    worker.execute(() -> {
      while (!pipe.hasRoom() && !pipe.isCut()) {
        worker.sleep(link.delay().plusMillis(1));
      }
      if (listener != null && !workerKnowsTheEnd) {
        listener.onReady();
      }
    });
  }

  @Override
  public void halfClose() {
    Pipe pipe = toController;
    if (pipe != null) {
      pipe.send(() -> {
        if (controllerSide != null) {
          controllerSide.onCompleted();
        }
      });
    }
  }

  @Override
  public void cancel(@Nullable String message, @Nullable Throwable cause) {
    worker.execute(() -> close(Status.CANCELLED.withDescription(message)));
    cut();
  }

  private void close(Status status) {
    toWorker.close();
    leaveCable();
    if (!workerKnowsTheEnd && listener != null) {
      workerKnowsTheEnd = true;
      listener.onClose(status, new Metadata());
    }
  }

  @Override
  public void request(int messages) {
    // They come as they come.
  }

  // ---- the way between

  /** Both ends hear of it, each in its time. */
  void cut() {
    leaveCable();
    toWorker.cut(() -> close(Status.UNAVAILABLE.withDescription("the connection is gone")));
    ServerStream stream = serverStream;
    if (toController != null && stream != null) {
      toController.cut(stream::onGone);
    }
  }

  private void leaveCable() {
    if (cable != null) {
      cable.drop(cut);
    }
  }

  // ---- the controller's end

  private final class ServerStream extends ServerCallStreamObserver<ControllerMessage> {
    private final SimProcess controller;
    private Runnable onCancel = () -> {};
    private Runnable onReady = () -> {};
    private boolean cancelled;
    private boolean ended;

    ServerStream(SimProcess controller) {
      this.controller = controller;
    }

    private void onGone() {
      if (!ended && !cancelled) {
        cancelled = true;
        onCancel.run();
        if (controllerSide != null) {
          controllerSide.onError(Status.CANCELLED.asRuntimeException());
        }
      }
    }

    @Override
    public void onNext(ControllerMessage message) {
      controller.say("tells " + worker.name() + " " + Wire.line(message));
      toWorker.send(() -> {
        if (listener != null) {
          listener.onMessage(message);
        }
      });
      if (!isReady()) {
        awaitRoom();
      }
    }

    private void awaitRoom() {
      controller.execute(() -> {
        while (!toWorker.hasRoom() && !toWorker.isCut()) {
          controller.sleep(link.delay().plusMillis(1));
        }
        onReady.run();
      });
    }

    @Override
    public void onError(Throwable error) {
      finish(Status.fromThrowable(error));
    }

    @Override
    public void onCompleted() {
      finish(Status.OK);
    }

    private void finish(Status status) {
      ended = true;
      toWorker.send(() -> close(status));
    }

    @Override
    public boolean isCancelled() {
      return cancelled;
    }

    @Override
    public boolean isReady() {
      return toWorker.hasRoom();
    }

    @Override
    public void setOnCancelHandler(Runnable handler) {
      onCancel = handler;
    }

    @Override
    public void setOnReadyHandler(Runnable handler) {
      onReady = handler;
    }

    @Override
    public void setCompression(String compression) {}

    @Override
    public void setMessageCompression(boolean enable) {}

    @Override
    public void disableAutoInboundFlowControl() {}

    @Override
    public void request(int count) {}
  }
}

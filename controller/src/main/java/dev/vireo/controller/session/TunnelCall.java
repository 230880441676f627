package dev.vireo.controller.session;

import dev.vireo.proto.worker.v1.TunnelDown;
import dev.vireo.proto.worker.v1.TunnelUp;
import io.grpc.stub.ServerCallStreamObserver;
import io.grpc.stub.StreamObserver;
import org.jspecify.annotations.Nullable;

/** A worker's call, from the id of the tunnel that it brings to its end. Never blocks. */
final class TunnelCall implements StreamObserver<TunnelUp> {
  private final Tunnels tunnels;
  private final ServerCallStreamObserver<TunnelDown> call;
  private volatile @Nullable Tunnel<?, ?> tunnel;

  /** Takes the call's handlers, so it is made in its method. */
  TunnelCall(Tunnels tunnels, ServerCallStreamObserver<TunnelDown> call) {
    this.tunnels = tunnels;
    this.call = call;
    call.disableAutoRequest();
    call.setOnReadyHandler(() -> {
      Tunnel<?, ?> joined = tunnel;
      if (joined != null) {
        joined.pullClient();
      }
    });
    call.setOnCancelHandler(this::gone);
    call.request(1);
  }

  @Override
  public void onNext(TunnelUp message) {
    Tunnel<?, ?> joined = tunnel;
    if (joined != null) {
      joined.fromWorker(message);
      return;
    }
    Tunnel<?, ?> awaited = tunnels.take(message.getBegin().getTunnelId()).orElse(null);
    if (awaited == null) {
      call.onError(Tunnel.unknown());
      return;
    }
    tunnel = awaited;
    awaited.join(call);
    call.request(1);
  }

  @Override
  public void onError(Throwable error) {
    gone();
  }

  @Override
  public void onCompleted() {
    Tunnel<?, ?> joined = tunnel;
    if (joined != null) {
      joined.workerEnded();
    } else {
      call.onCompleted();
    }
  }

  private void gone() {
    Tunnel<?, ?> joined = tunnel;
    if (joined != null) {
      joined.workerGone();
    }
  }
}

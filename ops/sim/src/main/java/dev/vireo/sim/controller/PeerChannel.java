package dev.vireo.sim.controller;

import dev.vireo.sim.kernel.SimProcess;
import dev.vireo.sim.network.Cable;
import dev.vireo.sim.network.Link;
import io.grpc.Attributes;
import io.grpc.CallOptions;
import io.grpc.ClientCall;
import io.grpc.ClientStreamTracer;
import io.grpc.Context;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.MethodDescriptor;
import io.grpc.Status;
import java.time.Duration;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/**
 * A controller's channel to another one, whichever process is at its address when a call is made.
 * The other may be stopped, which is noticed by what keeps connections alive, or be gone.
 */
final class PeerChannel extends ManagedChannel {
  /** gRPC's keep-alive and its time-out, as LeaderChannels has them. */
  private static final Duration NOTICED_STOPPED = Duration.ofSeconds(15);

  private final SimProcess caller;
  private final Cable cable;
  private final Link link;
  private final Supplier<Optional<SimController>> peer;
  private final Set<Call<?, ?>> calls = new LinkedHashSet<>();
  private boolean shutdown;

  /**
   * @param cable of the caller
   */
  PeerChannel(SimProcess caller, Cable cable, Link link, Supplier<Optional<SimController>> peer) {
    this.caller = caller;
    this.cable = cable;
    this.link = link;
    this.peer = peer;
  }

  @Override
  public <Q, R> ClientCall<Q, R> newCall(MethodDescriptor<Q, R> method, CallOptions options) {
    return new Call<>(method, options);
  }

  private final class Call<Q, R> extends ClientCall<Q, R> implements Context.CancellationListener {
    private final MethodDescriptor<Q, R> method;
    private final CallOptions options;
    private final Runnable cut = this::connectionGone;
    private Context context = Context.ROOT;
    private Metadata headers = new Metadata();
    private @Nullable Listener<R> listener;
    private @Nullable Q request;
    private Optional<SimController> server = Optional.empty();
    private Runnable cancelThere = () -> {};
    private boolean over;

    Call(MethodDescriptor<Q, R> method, CallOptions options) {
      this.method = method;
      this.options = options;
    }

    @Override
    public void start(Listener<R> answers, Metadata sent) {
      listener = answers;
      headers = sent;
      context = Context.current();
      context.addListener(this, Runnable::run);
    }

    @Override
    public void sendMessage(Q message) {
      request = message;
    }

    @Override
    public void halfClose() {
      calls.add(this);
      server =
          peer.get()
              .filter(SimController::serves)
              .filter(it -> !shutdown && cable.isUp() && it.cable().isUp());
      if (server.isEmpty()) {
        failLater("nobody answers");
        return;
      }
      connected(server.get());
    }

    private void connected(SimController it) {
      Metadata none = new Metadata();
      for (ClientStreamTracer.Factory factory : options.getStreamTracerFactories()) {
        factory
            .newClientStreamTracer(
                ClientStreamTracer.StreamInfo.newBuilder().setCallOptions(options).build(), none)
            .streamCreated(Attributes.EMPTY, none);
      }
      cable.carry(cut);
      it.cable().carry(cut);
      it.process().onKill(cut);
      watch(it);
      var _ = caller.simulation().after(link.delay(), () -> arrive(it));
    }

    private void arrive(SimController it) {
      Q asked = request;
      if (over || asked == null) {
        return;
      }
      cancelThere =
          it.call(
              method,
              headers,
              asked,
              answer ->
                  caller.simulation().after(link.delay(), () -> caller.execute(() -> end(answer))));
    }

    private void watch(SimController it) {
      var _ =
          caller
              .simulation()
              .after(
                  NOTICED_STOPPED,
                  () -> {
                    if (!over && it.process().isPaused()) {
                      failLater("nothing was heard for " + NOTICED_STOPPED);
                    } else if (!over) {
                      watch(it);
                    }
                  });
    }

    private void connectionGone() {
      failLater("the connection is gone");
    }

    /** The call that this one was made for. */
    @Override
    public void cancelled(Context ofCall) {
      cancel("cancelled", null);
    }

    private void failLater(String why) {
      var _ = caller.simulation().after(link.untilNoticed(), () -> fail(why));
    }

    private void fail(String why) {
      caller.execute(() ->
          end(
              new ApiCall.Answer<>(
                  new Metadata(), null, Status.UNAVAILABLE.withDescription(why), new Metadata())));
    }

    private void end(ApiCall.Answer<R> answer) {
      Listener<R> to = listener;
      if (over || to == null) {
        return;
      }
      over = true;
      calls.remove(this);
      cable.drop(cut);
      server.ifPresent(it -> it.cable().drop(cut));
      context.removeListener(this);
      R message = answer.message();
      if (message != null) {
        to.onHeaders(answer.headers());
        to.onMessage(message);
      }
      to.onClose(answer.status(), answer.trailers());
    }

    @Override
    public void cancel(@Nullable String why, @Nullable Throwable cause) {
      var _ = caller.simulation().after(link.delay(), () -> cancelThere.run());
      caller.execute(() ->
          end(
              new ApiCall.Answer<>(
                  new Metadata(), null, Status.CANCELLED.withDescription(why), new Metadata())));
    }

    @Override
    public void request(int messages) {
      // The one there is comes by itself.
    }
  }

  @Override
  public String authority() {
    return "peer";
  }

  @Override
  public ManagedChannel shutdown() {
    shutdown = true;
    return this;
  }

  @Override
  public ManagedChannel shutdownNow() {
    List.copyOf(calls).forEach(call -> call.fail("the channel was shut down"));
    return shutdown();
  }

  @Override
  public boolean isShutdown() {
    return shutdown;
  }

  @Override
  public boolean isTerminated() {
    return shutdown && calls.isEmpty();
  }

  /** Whoever calls this is a thread of the caller. */
  @Override
  public boolean awaitTermination(long timeout, TimeUnit unit) {
    caller.sleep(Duration.ofNanos(unit.toNanos(timeout)));
    return isTerminated();
  }
}

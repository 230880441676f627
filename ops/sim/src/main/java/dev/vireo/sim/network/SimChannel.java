package dev.vireo.sim.network;

import dev.vireo.sim.kernel.SimProcess;
import io.grpc.CallOptions;
import io.grpc.ClientCall;
import io.grpc.ConnectivityState;
import io.grpc.ManagedChannel;
import io.grpc.MethodDescriptor;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.function.Supplier;

/** A worker's channel to whoever is the controller at an address when it dials. */
public final class SimChannel extends ManagedChannel {
  private final SimProcess worker;
  private final Link link;
  private final Supplier<SessionServer> server;
  private final List<SimCall> calls = new ArrayList<>();
  private boolean shutdown;

  public SimChannel(SimProcess worker, Link link, Supplier<SessionServer> server) {
    this.worker = worker;
    this.link = link;
    this.server = server;
  }

  /** Ends what connections there are: a router was restarted, or the cable pulled. */
  public void cutAll() {
    List.copyOf(calls).forEach(SimCall::cut);
    calls.removeIf(SimCall::isOver);
  }

  @Override
  @SuppressWarnings("unchecked") // The worker has one call, Session.
  public <Q, R> ClientCall<Q, R> newCall(MethodDescriptor<Q, R> method, CallOptions options) {
    shutdown = false;
    calls.removeIf(SimCall::isOver);
    SimCall call = new SimCall(worker, link, server);
    calls.add(call);
    return (ClientCall<Q, R>) call;
  }

  @Override
  public String authority() {
    return "controller";
  }

  /** What is lost on the way is not told by the connection. */
  @Override
  public ConnectivityState getState(boolean requestConnection) {
    return ConnectivityState.READY;
  }

  @Override
  public ManagedChannel shutdown() {
    shutdown = true;
    return this;
  }

  @Override
  public ManagedChannel shutdownNow() {
    cutAll();
    return shutdown();
  }

  @Override
  public boolean isShutdown() {
    return shutdown;
  }

  @Override
  public boolean isTerminated() {
    return shutdown;
  }

  @Override
  public boolean awaitTermination(long timeout, TimeUnit unit) {
    return true;
  }
}

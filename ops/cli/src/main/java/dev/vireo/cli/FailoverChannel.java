package dev.vireo.cli;

import dev.vireo.proto.errors.ErrorReason;
import dev.vireo.proto.errors.Errors;
import dev.vireo.proto.v1.DeleteMicroVmRequest;
import io.grpc.Attributes;
import io.grpc.CallOptions;
import io.grpc.ClientCall;
import io.grpc.ClientStreamTracer;
import io.grpc.ConnectivityState;
import io.grpc.Context;
import io.grpc.Deadline;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.MethodDescriptor;
import io.grpc.Status;
import io.grpc.SynchronizationContext;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Executor;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/**
 * One channel to several controllers, any of which answers: when one cannot be reached, or there is
 * no leader just now, a call of one answer is made again, at the next, until its deadline. All of
 * the API's can be: a create has a request id, the others say what shall be, and a delete that may
 * have been done finds nothing left. A stream is made again only while it has found no connection;
 * of one that breaks later, whoever makes the next one gets the next controller.
 */
final class FailoverChannel extends ManagedChannel {
  private static final Duration PAUSE = Duration.ofMillis(300);

  /** A controller that was stopped takes connections, and says nothing. */
  private static final Duration CONNECTED_WITHIN = Duration.ofSeconds(2);

  private static final Duration PATIENCE_WITHOUT_DEADLINE = Duration.ofSeconds(30);

  private final List<ManagedChannel> channels;
  private volatile int current;

  /**
   * @param channels at least one, which are closed with this one
   */
  FailoverChannel(List<ManagedChannel> channels) {
    this.channels = List.copyOf(channels);
  }

  @Override
  public <Q, R> ClientCall<Q, R> newCall(MethodDescriptor<Q, R> method, CallOptions options) {
    return method.getType() == MethodDescriptor.MethodType.UNARY
        ? new Call<>(method, options)
        : new StreamingCall<>(method, options);
  }

  /** Whether it was the controller that was not there, and not what it was asked for. */
  private boolean isWorthAnother(Status status, Metadata trailers) {
    if (!Errors.isConnectionLost(status)) {
      return false;
    }
    Optional<ErrorReason> reason = Errors.reasonOf(status.asRuntimeException(trailers));
    return reason.isEmpty()
        ? channels.size() > 1
        : reason.get() == ErrorReason.NO_LEADER || reason.get() == ErrorReason.NOT_LEADER;
  }

  /** Who does not lead does nothing. */
  private static boolean isRefusedByFollower(Status status, Metadata trailers) {
    return Errors.reasonOf(status.asRuntimeException(trailers))
        .filter(ErrorReason.NOT_LEADER::equals)
        .isPresent();
  }

  private void moveOnFrom(int index) {
    if (current == index) {
      current = (index + 1) % channels.size();
      channels.get(current).resetConnectBackoff();
    }
  }

  private static Executor later(Duration pause) {
    return CompletableFuture.delayedExecutor(pause.toMillis(), TimeUnit.MILLISECONDS);
  }

  /** Does this if there are others, and this one does not say a word. */
  private void whenNotConnected(ManagedChannel channel, Runnable giveUp) {
    if (channels.size() > 1) {
      later(CONNECTED_WITHIN)
          .execute(() -> {
            if (channel.getState(false) == ConnectivityState.CONNECTING) {
              channel.enterIdle();
              giveUp.run();
            }
          });
    }
  }

  /** A call of one request and one answer, over as many attempts as it takes. */
  private final class Call<Q, R> extends ClientCall<Q, R> {
    private final MethodDescriptor<Q, R> method;
    private final CallOptions options;
    private final Context context = Context.current();
    private final Deadline patience;
    private @Nullable Listener<R> listener;
    private Metadata headers = new Metadata();
    private @Nullable Q request;
    private @Nullable ClientCall<Q, R> attempt;
    private boolean cancelled;

    Call(MethodDescriptor<Q, R> method, CallOptions options) {
      this.method = method;
      this.options = options;
      Deadline given = options.getDeadline();
      this.patience =
          given == null
              ? Deadline.after(PATIENCE_WITHOUT_DEADLINE.toMillis(), TimeUnit.MILLISECONDS)
              : given;
    }

    @Override
    public void start(Listener<R> responseListener, Metadata requestHeaders) {
      listener = responseListener;
      headers = requestHeaders;
    }

    @Override
    public void request(int messages) {}

    @Override
    public void sendMessage(Q message) {
      request = message;
    }

    @Override
    public void halfClose() {
      attempt();
    }

    private synchronized void attempt() {
      Q message = request;
      Listener<R> told = listener;
      if (message == null || told == null || cancelled) {
        return;
      }
      int index = current;
      ManagedChannel channel = channels.get(index);
      Sent sent = new Sent();
      ClientCall<Q, R> next = channel.newCall(method, options.withStreamTracerFactory(sent));
      attempt = next;
      Metadata itsHeaders = new Metadata();
      itsHeaders.merge(headers);
      next.start(new Answer<>(told, this, index, sent), itsHeaders);
      next.sendMessage(message);
      next.halfClose();
      next.request(2);
      whenNotConnected(channel, () -> next.cancel(NOT_CONNECTED, null));
    }

    private boolean hasTimeFor(Duration pause) {
      return patience.timeRemaining(TimeUnit.MILLISECONDS) > pause.toMillis();
    }

    /**
     * Makes the call once more.
     *
     * @param mayBeDone by the attempt before
     */
    private void again(boolean mayBeDone) {
      if (mayBeDone) {
        allowForItself();
      }
      later(PAUSE).execute(context.wrap(this::attempt));
    }

    /** What a delete does not find may be what it has deleted itself. */
    @SuppressWarnings("unchecked")
    private synchronized void allowForItself() {
      if (request instanceof DeleteMicroVmRequest delete) {
        request = (Q) delete.toBuilder().setAllowMissing(true).build();
      }
    }

    @Override
    public synchronized void cancel(@Nullable String message, @Nullable Throwable cause) {
      cancelled = true;
      if (attempt != null) {
        attempt.cancel(message, cause);
      }
    }
  }

  /**
   * A call that streams. What is sent is kept until an attempt has come as far as a connection: up
   * to then another can take its place, of which neither side hears. What happens to attempts
   * happens one after the other, whoever's thread it is.
   */
  private final class StreamingCall<Q, R> extends ClientCall<Q, R> {
    private final MethodDescriptor<Q, R> method;
    private final CallOptions options;
    private final Context context = Context.current();
    private final SynchronizationContext inTurn =
        new SynchronizationContext((_, error) -> cancel("cannot be sent", error));
    private final List<Q> kept = new ArrayList<>();
    private int requested;
    private boolean halfClosed;
    private final AtomicInteger attempts = new AtomicInteger();
    private @Nullable Listener<R> listener;
    private Metadata headers = new Metadata();
    private volatile @Nullable Attempt attempt;

    /** One of its attempts, at one controller. */
    private final class Attempt extends Listener<R> {
      private final int index = current;
      private final Sent sent = new Sent();
      private final ClientCall<Q, R> call =
          channels.get(index).newCall(method, options.withStreamTracerFactory(sent));
      private final Listener<R> told;
      private volatile boolean givenUp;

      Attempt(Listener<R> told) {
        this.told = told;
      }

      void start() {
        Metadata itsHeaders = new Metadata();
        itsHeaders.merge(headers);
        call.start(this, itsHeaders);
        if (requested > 0) {
          call.request(requested);
        }
        kept.forEach(call::sendMessage);
        if (halfClosed) {
          call.halfClose();
        }
        whenNotConnected(channels.get(index), () -> inTurn.execute(this::giveUp));
      }

      private void giveUp() {
        if (!sent.any) {
          givenUp = true;
          call.cancel(NOT_CONNECTED, null);
        }
      }

      @Override
      public void onHeaders(Metadata received) {
        told.onHeaders(received);
      }

      @Override
      public void onMessage(R message) {
        told.onMessage(message);
      }

      @Override
      public void onReady() {
        told.onReady();
      }

      @Override
      public void onClose(Status status, Metadata trailers) {
        boolean another = givenUp || isWorthAnother(status, trailers);
        if (another) {
          moveOnFrom(index);
        }
        if (another && !sent.any && attempts.get() < channels.size()) {
          inTurn.execute(context.wrap(StreamingCall.this::attempt));
        } else {
          told.onClose(
              givenUp ? Status.UNAVAILABLE.withDescription(NOT_CONNECTED) : status, trailers);
        }
      }
    }

    StreamingCall(MethodDescriptor<Q, R> method, CallOptions options) {
      this.method = method;
      this.options = options;
    }

    @Override
    public void start(Listener<R> responseListener, Metadata requestHeaders) {
      listener = responseListener;
      headers = requestHeaders;
      inTurn.execute(this::attempt);
    }

    private void attempt() {
      attempts.incrementAndGet();
      Attempt next = new Attempt(Objects.requireNonNull(listener));
      attempt = next;
      next.start();
    }

    /** Says something to the attempt of now, unless that has only been given up. */
    private void say(Consumer<ClientCall<Q, R>> words) {
      Attempt now = attempt;
      if (now != null && !now.givenUp) {
        words.accept(now.call);
      }
    }

    @Override
    public void sendMessage(Q message) {
      inTurn.execute(() -> {
        Attempt now = attempt;
        if (now != null && now.sent.any) {
          kept.clear();
        } else {
          kept.add(message);
        }
        say(call -> call.sendMessage(message));
      });
    }

    @Override
    public void request(int messages) {
      inTurn.execute(() -> {
        requested += messages;
        say(call -> call.request(messages));
      });
    }

    @Override
    public void halfClose() {
      inTurn.execute(() -> {
        halfClosed = true;
        say(ClientCall::halfClose);
      });
    }

    @Override
    public boolean isReady() {
      Attempt now = attempt;
      return now != null && now.call.isReady();
    }

    @Override
    public void cancel(@Nullable String message, @Nullable Throwable cause) {
      inTurn.execute(() -> {
        attempts.set(channels.size());
        say(call -> call.cancel(message, cause));
      });
    }
  }

  private static final String NOT_CONNECTED = "the controller does not answer";

  /** Whether an attempt has come as far as a connection: what has not was certainly not done. */
  private static final class Sent extends ClientStreamTracer.Factory {
    private volatile boolean any;

    @Override
    public ClientStreamTracer newClientStreamTracer(
        ClientStreamTracer.StreamInfo info, Metadata headers) {
      return new ClientStreamTracer() {
        @Override
        public void streamCreated(Attributes transportAttributes, Metadata sentHeaders) {
          any = true;
        }
      };
    }
  }

  /** Holds an attempt's answer back until it is known to be the one. */
  private final class Answer<R> extends ClientCall.Listener<R> {
    private final ClientCall.Listener<R> listener;
    private final Call<?, R> call;
    private final int index;
    private final Sent sent;
    private @Nullable Metadata headers;
    private @Nullable R message;

    Answer(ClientCall.Listener<R> listener, Call<?, R> call, int index, Sent sent) {
      this.listener = listener;
      this.call = call;
      this.index = index;
      this.sent = sent;
    }

    @Override
    public void onHeaders(Metadata received) {
      headers = received;
    }

    @Override
    public void onMessage(R received) {
      message = received;
    }

    @Override
    public void onClose(Status status, Metadata trailers) {
      boolean another =
          isWorthAnother(status, trailers) || NOT_CONNECTED.equals(status.getDescription());
      if (another) {
        moveOnFrom(index);
        if (call.hasTimeFor(PAUSE)) {
          call.again(sent.any && !isRefusedByFollower(status, trailers));
          return;
        }
      }
      if (headers != null) {
        listener.onHeaders(headers);
      }
      if (message != null) {
        listener.onMessage(message);
      }
      listener.onClose(status, trailers);
    }
  }

  @Override
  public String authority() {
    return channels.getFirst().authority();
  }

  @Override
  public ManagedChannel shutdown() {
    channels.forEach(ManagedChannel::shutdown);
    return this;
  }

  @Override
  public ManagedChannel shutdownNow() {
    channels.forEach(ManagedChannel::shutdownNow);
    return this;
  }

  @Override
  public boolean isShutdown() {
    return channels.stream().allMatch(ManagedChannel::isShutdown);
  }

  @Override
  public boolean isTerminated() {
    return channels.stream().allMatch(ManagedChannel::isTerminated);
  }

  @Override
  public boolean awaitTermination(long timeout, TimeUnit unit) throws InterruptedException {
    long end = System.nanoTime() + unit.toNanos(timeout);
    for (ManagedChannel channel : channels) {
      if (!channel.awaitTermination(end - System.nanoTime(), TimeUnit.NANOSECONDS)) {
        return false;
      }
    }
    return true;
  }
}

package dev.vireo.controller.leader;

import dev.vireo.controller.microvm.MicroVms;
import dev.vireo.controller.time.TimeSource;
import dev.vireo.proto.errors.ErrorReason;
import dev.vireo.proto.errors.Errors;
import dev.vireo.proto.v1.MicroVmServiceGrpc;
import io.grpc.Attributes;
import io.grpc.CallOptions;
import io.grpc.ClientCall;
import io.grpc.ClientStreamTracer;
import io.grpc.Context;
import io.grpc.ForwardingServerCall.SimpleForwardingServerCall;
import io.grpc.Metadata;
import io.grpc.MethodDescriptor;
import io.grpc.ServerCall;
import io.grpc.ServerCallHandler;
import io.grpc.ServerInterceptor;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import java.time.Duration;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Executor;
import org.jspecify.annotations.Nullable;

/**
 * Has the leader answer the API's calls that only it can, whichever they are: the request goes on
 * as it came, with its metadata, deadline and cancellation, and the answer comes back as fast as
 * the client takes it. Of a stream of requests each goes on as fast as the leader takes it. Every
 * controller itself gets, lists and watches microVMs, from its image.
 *
 * <p><em>Who writes reads it.</em> The leader says with its answer how new its image is; the client
 * is given the answer once this controller's image is as new, so that it finds here what it has
 * done there.
 *
 * <p><em>Without a leader</em> a call waits a little for one, if it has not been sent to another:
 * what has been sent may have been done, and only the client knows whether it may be done twice. A
 * stream of which anything has been sent is never begun again.
 */
public final class LeaderProxy implements ServerInterceptor {
  private static final String API = "vireo.v1.";

  private static final Set<String> SERVED_HERE =
      Set.of(
          MicroVmServiceGrpc.getGetMicroVmMethod().getFullMethodName(),
          MicroVmServiceGrpc.getListMicroVmsMethod().getFullMethodName(),
          MicroVmServiceGrpc.getWatchMicroVmsMethod().getFullMethodName());

  /** Of a call that has come this way: it goes no further. */
  private static final Metadata.Key<String> FORWARDED =
      Metadata.Key.of("vireo-forwarded", Metadata.ASCII_STRING_MARSHALLER);

  /** How new the leader's image of microVMs was when it answered. */
  private static final Metadata.Key<String> IMAGE_VERSION =
      Metadata.Key.of("vireo-image-version", Metadata.ASCII_STRING_MARSHALLER);

  /** How long one who could not be reached is given before it is tried again. */
  private static final Duration RETRY = Duration.ofMillis(200);

  /** How long an answer is held back for an image that does not come so far. */
  private static final Duration CATCH_UP = Duration.ofSeconds(2);

  private final Leadership leadership;
  private final LeaderChannels channels;
  private final MicroVms microVms;
  private final String ownAddress;
  private final Duration patience;
  private final TimeSource time;
  private final Executor threads;

  /**
   * @param ownAddress where this controller is reached, should it be elected while a call waits
   * @param patience how long a call waits for a leader
   * @param threads runs what blocks
   */
  public LeaderProxy(
      Leadership leadership,
      LeaderChannels channels,
      MicroVms microVms,
      String ownAddress,
      Duration patience,
      TimeSource time,
      Executor threads) {
    this.leadership = leadership;
    this.channels = channels;
    this.microVms = microVms;
    this.ownAddress = ownAddress;
    this.patience = patience;
    this.time = time;
    this.threads = threads;
    leadership.listen(
        new Leadership.Listener() {
          @Override
          public void followed(Optional<String> address) {
            channels.follow(address);
          }
        });
  }

  @Override
  public <Q, R> ServerCall.Listener<Q> interceptCall(
      ServerCall<Q, R> call, Metadata headers, ServerCallHandler<Q, R> next) {
    if (isServedHere(call.getMethodDescriptor())) {
      return next.startCall(call, headers);
    }
    boolean forwarded = headers.containsKey(FORWARDED);
    if (leadership.leads()) {
      return next.startCall(forwarded ? new Versioned<>(call) : call, headers);
    }
    if (forwarded) {
      close(call, Errors.of(ErrorReason.NOT_LEADER, "this controller does not lead"));
      return new ServerCall.Listener<>() {};
    }
    call.request(1);
    return new Forwarding<>(call, headers);
  }

  /** Workers' sessions and what gRPC itself offers are each controller's own affair. */
  private static boolean isServedHere(MethodDescriptor<?, ?> method) {
    return !method.getFullMethodName().startsWith(API)
        || SERVED_HERE.contains(method.getFullMethodName());
  }

  private static void close(ServerCall<?, ?> call, StatusRuntimeException error) {
    Metadata trailers = error.getTrailers();
    call.close(error.getStatus(), trailers == null ? new Metadata() : trailers);
  }

  /** The leader's side of a call that another controller has sent on. */
  private final class Versioned<Q, R> extends SimpleForwardingServerCall<Q, R> {
    Versioned(ServerCall<Q, R> delegate) {
      super(delegate);
    }

    @Override
    public void close(Status status, Metadata trailers) {
      trailers.put(IMAGE_VERSION, Long.toString(microVms.changedVersion()));
      super.close(status, trailers);
    }
  }

  private void awaitImage(long version) {
    CompletableFuture<Void> reached = microVms.reached(version);
    try {
      time.await(reached, CATCH_UP);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    } finally {
      reached.complete(null); // Nobody waits for it any more.
    }
  }

  /** One call, from its request to its end. */
  private final class Forwarding<Q, R> extends ServerCall.Listener<Q> {
    private final ServerCall<Q, R> call;
    private final Metadata headers;

    /** It has the deadline; and when it is cancelled, what was begun in it is too. */
    private final Context context = Context.current();

    private final long endNanos = time.nanoTime() + patience.toNanos();
    private final boolean oneRequest;

    /** The only one, or the first of a stream. */
    private volatile @Nullable Q request;

    private volatile boolean requestsEnded;
    private volatile @Nullable Attempt<Q, R> attempt;

    Forwarding(ServerCall<Q, R> call, Metadata headers) {
      this.call = call;
      this.headers = headers;
      this.oneRequest = call.getMethodDescriptor().getType().clientSendsOneMessage();
    }

    @Override
    public void onMessage(Q message) {
      Attempt<Q, R> now = attempt;
      if (request == null) {
        request = message;
        if (!oneRequest) {
          forward(Optional.empty());
        }
      } else if (now != null) { // Which has asked for it.
        now.sendOn(message);
      }
    }

    @Override
    public void onHalfClose() {
      requestsEnded = true;
      Attempt<Q, R> now = attempt;
      if (oneRequest || request == null) {
        forward(Optional.empty());
      } else if (now != null) {
        now.endRequests();
      }
    }

    @Override
    public void onReady() {
      Attempt<Q, R> now = attempt;
      if (now != null) {
        now.pull();
      }
    }

    private void forward(Optional<String> shunned) {
      threads.execute(context.wrap(() -> awaitLeader(shunned)));
    }

    private void awaitLeader(Optional<String> shunned) {
      try {
        Duration left = Duration.ofNanos(endNanos - time.nanoTime());
        leadership.await(shunned, shunned.isPresent() && RETRY.compareTo(left) < 0 ? RETRY : left);
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
      }
      if (context.isCancelled()) {
        return; // Nobody waits for an answer any more.
      }
      if (channels.isClosed()) {
        close(call, Errors.of(ErrorReason.NO_LEADER, "this controller stops"));
        return;
      }
      Optional<String> leader = leadership.leads() ? Optional.of(ownAddress) : leadership.leader();
      if (leader.isEmpty()) {
        close(call, Errors.of(ErrorReason.NO_LEADER, "no controller leads now"));
        return;
      }
      Attempt<Q, R> next = new Attempt<>(this, leader.get());
      attempt = next;
      next.start();
    }

    private boolean mayWait() {
      return time.nanoTime() - endNanos < 0;
    }
  }

  /** The call to one controller. gRPC tells of its answer from one thread at a time. */
  private final class Attempt<Q, R> extends ClientCall.Listener<R> {
    private final Forwarding<Q, R> forwarding;
    private final ServerCall<Q, R> call;
    private final String address;
    private final Sent sent = new Sent();
    private final ClientCall<Q, R> onward;
    private final boolean oneAnswer;

    /** Of one answer, until it may be told. */
    private @Nullable Metadata answerHeaders;

    private @Nullable R answer;

    /** Something has gone to the client: no other attempt can be made. */
    private boolean told;

    /** The client has enough for now. */
    private boolean held;

    private boolean started;

    /** A message of a stream has gone on, and the next was not asked for. */
    private boolean requestsHeld;

    private boolean halfClosed;

    Attempt(Forwarding<Q, R> forwarding, String address) {
      this.forwarding = forwarding;
      this.call = forwarding.call;
      this.address = address;
      MethodDescriptor<Q, R> method = call.getMethodDescriptor();
      this.oneAnswer = method.getType().serverSendsOneMessage();
      this.onward =
          channels.to(address).newCall(method, CallOptions.DEFAULT.withStreamTracerFactory(sent));
    }

    synchronized void start() {
      Metadata onwardHeaders = new Metadata();
      onwardHeaders.merge(forwarding.headers);
      onwardHeaders.put(FORWARDED, ownAddress);
      onward.start(this, onwardHeaders);
      started = true;
      Q first = forwarding.request;
      if (first != null) {
        sendOn(first);
      }
      endRequests();
      onward.request(oneAnswer ? 2 : 1);
    }

    synchronized void sendOn(Q message) {
      onward.sendMessage(message);
      requestsHeld = !forwarding.oneRequest;
      onReady();
    }

    /** The leader takes more. */
    @Override
    public synchronized void onReady() {
      if (requestsHeld && onward.isReady()) {
        requestsHeld = false;
        call.request(1);
      }
    }

    /** Half-closes the call if the client has its own. */
    synchronized void endRequests() {
      if (started && forwarding.requestsEnded && !halfClosed) {
        halfClosed = true;
        onward.halfClose();
      }
    }

    @Override
    public void onHeaders(Metadata headers) {
      if (oneAnswer) {
        answerHeaders = headers;
      } else {
        told = true;
        call.sendHeaders(headers);
      }
    }

    @Override
    public void onMessage(R message) {
      if (oneAnswer) {
        answer = message;
        return;
      }
      call.sendMessage(message);
      synchronized (this) {
        held = !call.isReady();
        if (!held) {
          onward.request(1);
        }
      }
    }

    /** The client takes more. */
    synchronized void pull() {
      if (held && call.isReady()) {
        held = false;
        onward.request(1);
      }
    }

    @Override
    public void onClose(Status status, Metadata trailers) {
      if (!Errors.isConnectionLost(status)) {
        catchUp(trailers, () -> finish(status, trailers));
        return;
      }
      Optional<ErrorReason> reason = Errors.reasonOf(status.asRuntimeException(trailers));
      boolean untouched =
          !sent.any
              || (forwarding.oneRequest
                  && reason.filter(ErrorReason.NOT_LEADER::equals).isPresent());
      if (untouched && !told && forwarding.mayWait()) {
        forwarding.forward(Optional.of(address));
      } else if (reason.isPresent()) {
        catchUp(trailers, () -> finish(status, trailers));
      } else {
        close(
            call,
            Errors.of(
                ErrorReason.NO_LEADER,
                "the controller at %s, which led, cannot be reached%s"
                    .formatted(address, sent.any ? "; whether it has done it is not known" : "")));
      }
    }

    /** Waits until this controller shows what the answer says, or does not come to it. */
    private void catchUp(Metadata trailers, Runnable then) {
      String version = trailers.get(IMAGE_VERSION);
      trailers.discardAll(IMAGE_VERSION);
      threads.execute(() -> {
        if (version != null) {
          awaitImage(Long.parseLong(version));
        }
        then.run();
      });
    }

    private void finish(Status status, Metadata trailers) {
      R one = answer;
      if (one != null) {
        call.sendHeaders(answerHeaders == null ? new Metadata() : answerHeaders);
        call.sendMessage(one);
      }
      call.close(status, trailers);
    }
  }

  /** Whether a call has come as far as a connection: what has not was certainly not done. */
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
}

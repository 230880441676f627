package dev.vireo.controller.store;

import com.google.protobuf.ByteString;
import dev.vireo.controller.store.StoreException.Unavailable;
import io.etcd.jetcd.api.AuthGrpc;
import io.etcd.jetcd.api.AuthenticateRequest;
import io.etcd.jetcd.api.AuthenticateResponse;
import io.etcd.jetcd.api.Event;
import io.etcd.jetcd.api.WatchCreateRequest;
import io.etcd.jetcd.api.WatchGrpc;
import io.etcd.jetcd.api.WatchRequest;
import io.etcd.jetcd.api.WatchResponse;
import io.grpc.CallCredentials;
import io.grpc.CallOptions;
import io.grpc.ClientCall;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.MethodDescriptor;
import io.grpc.Status;
import io.grpc.netty.GrpcSslContexts;
import io.grpc.netty.NettyChannelBuilder;
import io.grpc.stub.ClientCalls;
import io.grpc.stub.StreamObserver;
import io.netty.handler.ssl.SslContext;
import io.netty.handler.ssl.SslContextBuilder;
import java.net.URI;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Executor;
import java.util.concurrent.TimeUnit;
import javax.net.ssl.SSLException;
import org.jspecify.annotations.Nullable;

/**
 * Calls to the members of an etcd: one channel to each, of which one is used until a call fails on
 * it.
 *
 * <p>Every answer comes on the executor that it was given. Nothing is tried twice, for only the
 * caller knows whether that does harm.
 */
final class EtcdClient implements AutoCloseable {
  /** etcd takes more than one in 5 s for abuse ({@code --grpc-keepalive-min-time}). */
  private static final Duration KEEP_ALIVE = Duration.ofSeconds(6);

  private static final Duration KEEP_ALIVE_ANSWER = Duration.ofSeconds(3);
  private static final Duration CLOSE = Duration.ofSeconds(2);

  private static final Metadata.Key<String> TOKEN =
      Metadata.Key.of("token", Metadata.ASCII_STRING_MARSHALLER);

  /** Asks a member that has lost its leader to say so, and not to be silent. */
  private static final Metadata.Key<String> HAS_LEADER =
      Metadata.Key.of("hasleader", Metadata.ASCII_STRING_MARSHALLER);

  private final List<ManagedChannel> channels;
  private final Executor executor;
  private final Optional<Token> token;
  private final Set<Stream> streams = ConcurrentHashMap.newKeySet();
  private volatile int current;

  /** What comes by a watch, until it is closed or has ended. */
  interface Events {
    void onEvents(List<Event> events);

    /** The end: what it asked for is older than this revision, the oldest that there is. */
    void onCompacted(long oldestRevision);

    /** The end, for a reason that may pass. */
    void onEnd(Status why);
  }

  EtcdClient(EtcdOptions options, Executor executor) {
    this.executor = executor;
    this.channels = options.endpoints().stream().map(uri -> channel(uri, options.tls())).toList();
    this.token = options.credentials().map(Token::new);
  }

  private ManagedChannel channel(URI endpoint, EtcdOptions.Tls tls) {
    NettyChannelBuilder builder =
        NettyChannelBuilder.forAddress(endpoint.getHost(), endpoint.getPort())
            .executor(executor)
            .maxInboundMessageSize(Integer.MAX_VALUE)
            .keepAliveTime(KEEP_ALIVE.toMillis(), TimeUnit.MILLISECONDS)
            .keepAliveTimeout(KEEP_ALIVE_ANSWER.toMillis(), TimeUnit.MILLISECONDS);
    if (endpoint.getScheme().equals("https")) {
      builder.sslContext(sslContext(tls));
    } else {
      builder.usePlaintext();
    }
    return builder.build();
  }

  private static SslContext sslContext(EtcdOptions.Tls tls) {
    try {
      SslContextBuilder context = GrpcSslContexts.forClient();
      tls.authority().ifPresent(file -> context.trustManager(file.toFile()));
      tls.identity()
          .ifPresent(identity ->
              context.keyManager(identity.certificate().toFile(), identity.key().toFile()));
      return context.build();
    } catch (SSLException | IllegalArgumentException e) {
      throw new Unavailable(
          "cannot use the certificates for etcd (%s): PEM files are wanted, the key in PKCS#8"
              .formatted(e.getMessage()),
          e);
    }
  }

  /** Asks once. The future fails with the {@link io.grpc.StatusRuntimeException} that came. */
  <Q, A> CompletableFuture<A> call(MethodDescriptor<Q, A> method, Q request, Duration timeout) {
    int member = current;
    CompletableFuture<A> answer = new CompletableFuture<>();
    CallOptions options =
        options().withDeadlineAfter(Math.max(1, timeout.toMillis()), TimeUnit.MILLISECONDS);
    ClientCalls.asyncUnaryCall(
        channels.get(member).newCall(method, options),
        request,
        new StreamObserver<A>() {
          @Override
          public void onNext(A value) {
            answer.complete(value);
          }

          @Override
          public void onError(Throwable error) {
            failed(member, Status.fromThrowable(error));
            answer.completeExceptionally(error);
          }

          @Override
          public void onCompleted() {}
        });
    return answer;
  }

  /** Sends a request on a stream, and takes the first answer. */
  <Q, A> CompletableFuture<A> callOnStream(
      MethodDescriptor<Q, A> method, Q request, Duration timeout) {
    CompletableFuture<A> answer = new CompletableFuture<>();
    CallOptions options =
        options().withDeadlineAfter(Math.max(1, timeout.toMillis()), TimeUnit.MILLISECONDS);
    int member = current;
    StreamObserver<Q> requests =
        ClientCalls.asyncBidiStreamingCall(
            channels.get(member).newCall(method, options),
            new StreamObserver<A>() {
              @Override
              public void onNext(A value) {
                answer.complete(value);
              }

              @Override
              public void onError(Throwable error) {
                failed(member, Status.fromThrowable(error));
                answer.completeExceptionally(error);
              }

              @Override
              public void onCompleted() {
                answer.completeExceptionally(Status.UNAVAILABLE.asRuntimeException());
              }
            });
    requests.onNext(request);
    requests.onCompleted();
    return answer;
  }

  /** Watches all keys under a prefix from a revision on. */
  Stream watch(ByteString prefix, long fromRevision, Events events) {
    Stream stream = new Stream(current, events);
    streams.add(stream);
    stream.start(
        WatchCreateRequest.newBuilder()
            .setKey(prefix)
            .setRangeEnd(EtcdKeys.endOf(prefix))
            .setStartRevision(fromRevision)
            .setPrevKv(true)
            .build());
    return stream;
  }

  private CallOptions options() {
    return token.isPresent()
        ? CallOptions.DEFAULT.withCallCredentials(token.get())
        : CallOptions.DEFAULT;
  }

  /** What failed here may go better elsewhere, and soon. */
  private void failed(int member, Status status) {
    switch (status.getCode()) {
      case UNAVAILABLE, DEADLINE_EXCEEDED -> {
        channels.get(member).resetConnectBackoff();
        current = (member + 1) % channels.size();
        if (status.getCode() == Status.Code.DEADLINE_EXCEEDED) {
          leave(member);
        }
      }
      case UNAUTHENTICATED -> token.ifPresent(Token::forget);
      default -> {
        // The member is well.
      }
    }
  }

  /** A member that does not answer, but has hung up on nobody, tells a watch nothing either. */
  private void leave(int member) {
    streams.stream()
        .filter(stream -> stream.member == member)
        .forEach(stream ->
            executor.execute(
                () -> stream.endWith(Status.UNAVAILABLE.withDescription("it does not answer"))));
  }

  @Override
  public void close() {
    channels.forEach(ManagedChannel::shutdownNow);
    try {
      for (ManagedChannel channel : channels) {
        channel.awaitTermination(CLOSE.toMillis(), TimeUnit.MILLISECONDS);
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  /** A watch of one stream. After {@link #close} nothing more is told. */
  final class Stream implements AutoCloseable {
    private final int member;
    private final Events events;
    private final ClientCall<WatchRequest, WatchResponse> call;
    private boolean ended;

    private Stream(int member, Events events) {
      this.member = member;
      this.events = events;
      this.call = channels.get(member).newCall(WatchGrpc.getWatchMethod(), options());
    }

    private void start(WatchCreateRequest request) {
      Metadata headers = new Metadata();
      headers.put(HAS_LEADER, "true");
      call.start(new Listener(), headers);
      call.sendMessage(WatchRequest.newBuilder().setCreateRequest(request).build());
      call.request(1);
    }

    @Override
    public void close() {
      ended = true;
      streams.remove(this);
      call.cancel("closed", null);
    }

    private void endWith(Status why) {
      end(() -> events.onEnd(why));
    }

    private void end(Runnable told) {
      if (!ended) {
        close();
        told.run();
      }
    }

    private final class Listener extends ClientCall.Listener<WatchResponse> {
      @Override
      public void onMessage(WatchResponse response) {
        if (response.getCanceled()) {
          end(() -> {
            if (response.getCompactRevision() > 0) {
              events.onCompacted(response.getCompactRevision());
            } else {
              failed(member, Status.UNAUTHENTICATED);
              events.onEnd(Status.UNAVAILABLE.withDescription(response.getCancelReason()));
            }
          });
        } else if (!ended) {
          if (response.getEventsCount() > 0) {
            events.onEvents(response.getEventsList());
          }
          call.request(1);
        }
      }

      @Override
      public void onClose(Status status, Metadata trailers) {
        failed(member, status);
        endWith(status);
      }
    }
  }

  /** A user's token, fetched when there is none; a member that restarts knows it no more. */
  private final class Token extends CallCredentials {
    private final AuthenticateRequest request;
    private volatile @Nullable String text;

    Token(EtcdOptions.Credentials credentials) {
      this.request =
          AuthenticateRequest.newBuilder()
              .setName(credentials.user())
              .setPassword(credentials.password())
              .build();
    }

    void forget() {
      text = null;
    }

    @Override
    public void applyRequestMetadata(RequestInfo info, Executor any, MetadataApplier applier) {
      String known = text;
      if (known != null) {
        applier.apply(header(known));
        return;
      }
      ClientCalls.asyncUnaryCall(
          channels
              .get(current)
              .newCall(
                  AuthGrpc.getAuthenticateMethod(),
                  CallOptions.DEFAULT.withDeadlineAfter(
                      KEEP_ALIVE.toMillis(), TimeUnit.MILLISECONDS)),
          request,
          new StreamObserver<AuthenticateResponse>() {
            @Override
            public void onNext(AuthenticateResponse response) {
              text = response.getToken();
              applier.apply(header(response.getToken()));
            }

            @Override
            public void onError(Throwable error) {
              applier.fail(credentialsStatus(Status.fromThrowable(error)));
            }

            @Override
            public void onCompleted() {}
          });
    }

    /** gRPC takes few codes from here for what they are. */
    private static Status credentialsStatus(Status status) {
      return switch (status.getCode()) {
        case UNAVAILABLE, DEADLINE_EXCEEDED -> status;
        default -> Status.UNAUTHENTICATED.withDescription(status.getDescription());
      };
    }

    private static Metadata header(String token) {
      Metadata header = new Metadata();
      header.put(TOKEN, token);
      return header;
    }
  }
}

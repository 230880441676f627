package dev.vireo.bench.control;

import com.google.protobuf.CodedInputStream;
import dev.vireo.bench.Samples;
import dev.vireo.proto.v1.CreateMicroVmRequest.Wait;
import dev.vireo.proto.v1.MicroVmServiceGrpc;
import dev.vireo.proto.v1.WatchEventType;
import dev.vireo.proto.v1.WatchMicroVmsRequest;
import dev.vireo.proto.v1.WatchMicroVmsResponse;
import io.grpc.CallOptions;
import io.grpc.ClientCall;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.MethodDescriptor;
import io.grpc.Status;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import java.util.stream.IntStream;

/** Many clients that watch while microVMs are made. */
final class WatchFanOut implements AutoCloseable {
  private static final int CONNECTIONS = 10;
  private static final Duration PATIENCE = Duration.ofSeconds(60);

  private final List<ManagedChannel> channels;
  private final List<ClientCall<WatchMicroVmsRequest, WatchEventType>> calls = new ArrayList<>();
  private final AtomicLong events = new AtomicLong();
  private final AtomicInteger cutOff = new AtomicInteger();

  /** When the create was called whose ADDED comes next; each is made when all have the last. */
  private volatile long calledNanos;

  private final ConcurrentLinkedQueue<Double> millis = new ConcurrentLinkedQueue<>();
  private volatile CountDownLatch added = new CountDownLatch(0);

  /**
   * What was seen.
   *
   * @param millis from a create's call to each client's ADDED
   */
  record Seen(int clients, Samples millis, double eventsPerSecond, int cutOff) {}

  /** The kind of an event is all that is read of it: the clients shall cost little. */
  private static final MethodDescriptor<WatchMicroVmsRequest, WatchEventType> WATCH =
      MicroVmServiceGrpc.getWatchMicroVmsMethod().toBuilder(
              MicroVmServiceGrpc.getWatchMicroVmsMethod().getRequestMarshaller(), new Kinds())
          .build();

  private static final class Kinds implements MethodDescriptor.Marshaller<WatchEventType> {
    @Override
    public InputStream stream(WatchEventType value) {
      throw new UnsupportedOperationException();
    }

    @Override
    public WatchEventType parse(InputStream stream) {
      try {
        CodedInputStream in = CodedInputStream.newInstance(stream);
        int tag = in.readTag();
        return tag >>> 3 == WatchMicroVmsResponse.TYPE_FIELD_NUMBER
            ? WatchEventType.forNumber(in.readEnum())
            : WatchEventType.WATCH_EVENT_TYPE_UNSPECIFIED;
      } catch (IOException e) {
        throw new UncheckedIOException(e);
      }
    }
  }

  private WatchFanOut(ControllerProcess controller) {
    channels = IntStream.range(0, CONNECTIONS).mapToObj(_ -> controller.channel()).toList();
  }

  /** Has so many watch what comes from now on. */
  static WatchFanOut open(ControllerProcess controller, int count, long version)
      throws InterruptedException {
    WatchFanOut all = new WatchFanOut(controller);
    CountDownLatch watching = new CountDownLatch(count);
    for (int i = 0; i < count; i++) {
      ClientCall<WatchMicroVmsRequest, WatchEventType> call =
          all.channels.get(i % CONNECTIONS).newCall(WATCH, CallOptions.DEFAULT);
      all.calls.add(call);
      call.start(all.new Client(watching), new Metadata());
      call.sendMessage(
          WatchMicroVmsRequest.newBuilder()
              .setParent("projects/bench")
              .setResourceVersion(version)
              .build());
      call.halfClose();
      call.request(Integer.MAX_VALUE);
    }
    if (!watching.await(PATIENCE.toSeconds(), TimeUnit.SECONDS)) {
      all.close();
      throw new IllegalStateException("not all clients watch");
    }
    return all;
  }

  private final class Client extends ClientCall.Listener<WatchEventType> {
    private final CountDownLatch watching;

    Client(CountDownLatch watching) {
      this.watching = watching;
    }

    @Override
    public void onMessage(WatchEventType type) {
      switch (type) {
        case BOOKMARK -> watching.countDown();
        case ADDED -> {
          millis.add((System.nanoTime() - calledNanos) / 1e6);
          events.incrementAndGet();
          added.countDown();
        }
        case MODIFIED, DELETED, WATCH_EVENT_TYPE_UNSPECIFIED, UNRECOGNIZED ->
            events.incrementAndGet();
      }
    }

    @Override
    public void onClose(Status status, Metadata trailers) {
      if (status.getCode() != Status.Code.CANCELLED
          && status.getCode() != Status.Code.UNAVAILABLE) {
        cutOff.incrementAndGet();
      }
    }
  }

  /**
   * Makes some one by one, then many at once, fewer than a client may have waiting.
   *
   * @param single how many one by one
   * @param atOnce how many at once
   */
  Seen measure(CreateLoad load, ManagedChannel channel, int single, int atOnce)
      throws InterruptedException {
    var stub = MicroVmServiceGrpc.newBlockingStub(channel);
    for (int i = 0; i < single; i++) {
      added = new CountDownLatch(calls.size());
      calledNanos = System.nanoTime();
      var _ = stub.createMicroVm(load.request(Wait.WAIT_UNSPECIFIED));
      if (!added.await(PATIENCE.toSeconds(), TimeUnit.SECONDS)) {
        throw new IllegalStateException("an event did not come to all clients");
      }
      Thread.sleep(50);
    }
    Samples latencies = new Samples(List.copyOf(millis));
    awaitRest();
    long before = events.get();
    long start = System.nanoTime();
    var _ = load.run(16, atOnce);
    long last = awaitRest();
    double seconds = (last - start) / 1e9;
    return new Seen(calls.size(), latencies, (events.get() - before) / seconds, cutOff.get());
  }

  /** Until nothing has come for a while; when the last came. */
  private long awaitRest() throws InterruptedException {
    long seen = events.get();
    long at = System.nanoTime();
    while (System.nanoTime() - at < TimeUnit.MILLISECONDS.toNanos(500)) {
      Thread.sleep(5);
      long now = events.get();
      if (now != seen) {
        seen = now;
        at = System.nanoTime();
      }
    }
    return at;
  }

  @Override
  public void close() {
    calls.forEach(call -> call.cancel("done", null));
    channels.forEach(ManagedChannel::shutdownNow);
  }
}

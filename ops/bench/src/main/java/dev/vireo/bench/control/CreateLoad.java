package dev.vireo.bench.control;

import dev.vireo.bench.Samples;
import dev.vireo.proto.v1.CreateMicroVmRequest;
import dev.vireo.proto.v1.CreateMicroVmRequest.Wait;
import dev.vireo.proto.v1.ListMicroVmsRequest;
import dev.vireo.proto.v1.MicroVm;
import dev.vireo.proto.v1.MicroVmServiceGrpc;
import dev.vireo.proto.v1.MicroVmSpec;
import io.grpc.ManagedChannel;
import io.grpc.stub.StreamObserver;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.UUID;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.Semaphore;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;

/** Clients that create, each with a request id, and wait until it runs. */
final class CreateLoad implements AutoCloseable {
  private static final int CONNECTIONS = 4;

  private final List<ManagedChannel> channels;
  private final List<MicroVmServiceGrpc.MicroVmServiceStub> stubs = new ArrayList<>();
  private final AtomicReference<@Nullable Throwable> failure = new AtomicReference<>();
  private int made;

  CreateLoad(ControllerProcess controller) {
    channels = IntStream.range(0, CONNECTIONS).mapToObj(_ -> controller.channel()).toList();
    channels.forEach(channel -> stubs.add(MicroVmServiceGrpc.newStub(channel)));
  }

  /**
   * What was done.
   *
   * @param millis from each call to its answer
   * @param recordBytes what one of the answers is as a message
   */
  record Done(int creates, double seconds, Samples millis, int recordBytes) {
    double perSecond() {
      return creates / seconds;
    }
  }

  /** Creates for this long, with so many on their way, and lets all end. */
  Done run(int inFlight, Duration lasting) throws InterruptedException {
    long end = System.nanoTime() + lasting.toNanos();
    return run(inFlight, Integer.MAX_VALUE, end);
  }

  /** Creates this many. */
  Done run(int inFlight, int count) throws InterruptedException {
    return run(inFlight, count, Long.MAX_VALUE);
  }

  private Done run(int inFlight, int count, long endNanos) throws InterruptedException {
    Semaphore free = new Semaphore(inFlight);
    ConcurrentLinkedQueue<Double> millis = new ConcurrentLinkedQueue<>();
    AtomicInteger recordBytes = new AtomicInteger();
    long start = System.nanoTime();
    for (int i = 0; i < count && System.nanoTime() < endNanos && failure.get() == null; i++) {
      free.acquire();
      long called = System.nanoTime();
      stubs
          .get(i % stubs.size())
          .createMicroVm(request(Wait.WAIT_RUNNING), new Answer(free, called, millis, recordBytes));
    }
    free.acquire(inFlight);
    double seconds = (System.nanoTime() - start) / 1e9;
    throwIfAny();
    return new Done(millis.size(), seconds, new Samples(List.copyOf(millis)), recordBytes.get());
  }

  private void throwIfAny() {
    Throwable failed = failure.get();
    if (failed != null) {
      throw new IllegalStateException("a create failed: " + failed.getMessage(), failed);
    }
  }

  /** Of what there is by now. */
  long version(ManagedChannel channel) {
    return MicroVmServiceGrpc.newBlockingStub(channel)
        .listMicroVms(
            ListMicroVmsRequest.newBuilder().setParent("projects/bench").setPageSize(1).build())
        .getResourceVersion();
  }

  CreateMicroVmRequest request(Wait wait) {
    MicroVmSpec.Builder spec = MicroVmSpec.newBuilder().setVcpus(1).setMemoryMib(128);
    spec.getBootBuilder().setKernel("probe").setCommandLine("probe.run=tick");
    return CreateMicroVmRequest.newBuilder()
        .setParent("projects/bench")
        .setMicrovmId("vm-" + made++)
        .setRequestId(UUID.randomUUID().toString())
        .setWait(wait)
        .setMicrovm(MicroVm.newBuilder().setSpec(spec))
        .build();
  }

  private final class Answer implements StreamObserver<MicroVm> {
    private final Semaphore free;
    private final long called;
    private final ConcurrentLinkedQueue<Double> millis;
    private final AtomicInteger recordBytes;

    Answer(
        Semaphore free,
        long called,
        ConcurrentLinkedQueue<Double> millis,
        AtomicInteger recordBytes) {
      this.free = free;
      this.called = called;
      this.millis = millis;
      this.recordBytes = recordBytes;
    }

    @Override
    public void onNext(MicroVm answer) {
      millis.add((System.nanoTime() - called) / 1e6);
      recordBytes.set(answer.getSerializedSize());
    }

    @Override
    public void onError(Throwable error) {
      failure.compareAndSet(null, error);
      free.release();
    }

    @Override
    public void onCompleted() {
      free.release();
    }
  }

  @Override
  public void close() {
    channels.forEach(ManagedChannel::shutdownNow);
  }
}

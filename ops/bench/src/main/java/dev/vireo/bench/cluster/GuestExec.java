package dev.vireo.bench.cluster;

import dev.vireo.proto.v1.ExecRequest;
import dev.vireo.proto.v1.ExecResponse;
import dev.vireo.proto.v1.ExecStart;
import dev.vireo.proto.v1.MicroVmServiceGrpc;
import dev.vireo.proto.v1.MicroVmServiceGrpc.MicroVmServiceStub;
import io.grpc.Channel;
import io.grpc.StatusRuntimeException;
import io.grpc.stub.StreamObserver;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;

/** Commands in a guest, one after the other, by the public API's Exec call. */
public final class GuestExec {
  private final MicroVmServiceStub stub;
  private final String name;
  private final Duration patience;

  /**
   * @param name of the microVM, in full
   * @param patience with each command
   */
  public GuestExec(Channel channel, String name, Duration patience) {
    this.stub = MicroVmServiceGrpc.newStub(channel);
    this.name = name;
    this.patience = patience;
  }

  /**
   * How a command ended.
   *
   * @param status 128 and more for one that was killed
   * @param output all that it has written
   */
  public record Ended(int status, String output) {}

  /**
   * Runs a command without input to the end of its call.
   *
   * @throws StatusRuntimeException if it could not be run
   */
  public Ended run(String... arguments) {
    Answer answer = new Answer();
    StreamObserver<ExecRequest> request =
        stub.withDeadlineAfter(patience.toMillis(), TimeUnit.MILLISECONDS).exec(answer);
    request.onNext(
        ExecRequest.newBuilder()
            .setStart(ExecStart.newBuilder().setName(name).addAllArguments(List.of(arguments)))
            .build());
    request.onCompleted();
    try {
      return answer.ended.join();
    } catch (CompletionException e) {
      throw e.getCause() instanceof StatusRuntimeException why ? why : e;
    }
  }

  /** As above, and how many milliseconds it took. */
  public double millis(String... arguments) {
    long start = System.nanoTime();
    Ended ended = run(arguments);
    double millis = (System.nanoTime() - start) / 1e6;
    if (ended.status() != 0) {
      throw new IllegalStateException(
          "%s ended with status %d".formatted(List.of(arguments), ended.status()));
    }
    return millis;
  }

  private static final class Answer implements StreamObserver<ExecResponse> {
    final CompletableFuture<Ended> ended = new CompletableFuture<>();
    private final StringBuilder output = new StringBuilder();
    private @Nullable Integer status;

    @Override
    public void onNext(ExecResponse response) {
      output.append(response.getStdout().toStringUtf8());
      output.append(response.getStderr().toStringUtf8());
      if (response.hasExited()) {
        status = response.getExited().getStatus();
      }
    }

    @Override
    public void onError(Throwable failure) {
      ended.completeExceptionally(failure);
    }

    @Override
    public void onCompleted() {
      if (status == null) {
        ended.completeExceptionally(
            new IllegalStateException("the call ended, and not a word of how the command did"));
      } else {
        ended.complete(new Ended(status, output.toString()));
      }
    }
  }
}

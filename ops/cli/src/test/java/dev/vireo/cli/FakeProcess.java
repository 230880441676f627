package dev.vireo.cli;

import com.google.protobuf.ByteString;
import dev.vireo.proto.v1.AttachRequest;
import dev.vireo.proto.v1.AttachResponse;
import dev.vireo.proto.v1.AttachStarted;
import dev.vireo.proto.v1.ExecExited;
import io.grpc.stub.ServerCallStreamObserver;
import io.grpc.stub.StreamObserver;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.function.Consumer;

/** A container's process that sends back what it reads, and ends with 7 when that does. */
final class FakeProcess {
  /** Every message of every client, as it came. */
  final List<AttachRequest> requests = new CopyOnWriteArrayList<>();

  /** How many clients have gone before it ended. */
  final List<String> left = new CopyOnWriteArrayList<>();

  /** Hears of what it reads; after its end of nothing. */
  volatile Consumer<ByteString> reads = _ -> {};

  volatile Runnable ends = () -> {};

  StreamObserver<AttachRequest> attach(StreamObserver<AttachResponse> client) {
    ((ServerCallStreamObserver<AttachResponse>) client).setOnCancelHandler(() -> left.add("left"));
    return new StreamObserver<>() {
      private boolean inputOnly;

      @Override
      public void onNext(AttachRequest request) {
        requests.add(request);
        switch (request.getRequestCase()) {
          case START -> {
            inputOnly = request.getStart().getInputOnly();
            client.onNext(
                AttachResponse.newBuilder().setStarted(AttachStarted.getDefaultInstance()).build());
          }
          case STDIN -> {
            reads.accept(request.getStdin());
            if (!inputOnly) {
              client.onNext(AttachResponse.newBuilder().setStdout(request.getStdin()).build());
            }
          }
          case STDIN_END -> end(7);
          case SIGNAL -> end(128 + request.getSignal());
          case RESIZE, REQUEST_NOT_SET -> {}
        }
      }

      private void end(int status) {
        ends.run();
        client.onNext(
            AttachResponse.newBuilder()
                .setExited(ExecExited.newBuilder().setStatus(status))
                .build());
        client.onCompleted();
      }

      @Override
      public void onError(Throwable error) {}

      @Override
      public void onCompleted() {}
    };
  }
}

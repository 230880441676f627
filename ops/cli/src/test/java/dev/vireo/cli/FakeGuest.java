package dev.vireo.cli;

import com.google.protobuf.ByteString;
import dev.vireo.proto.errors.ErrorReason;
import dev.vireo.proto.errors.Errors;
import dev.vireo.proto.v1.CopyInRequest;
import dev.vireo.proto.v1.CopyInResponse;
import dev.vireo.proto.v1.CopyInStart;
import dev.vireo.proto.v1.CopyOutRequest;
import dev.vireo.proto.v1.CopyOutResponse;
import dev.vireo.proto.v1.ExecExited;
import dev.vireo.proto.v1.ExecRequest;
import dev.vireo.proto.v1.ExecResponse;
import dev.vireo.proto.v1.ExecStart;
import dev.vireo.proto.v1.ExecStarted;
import dev.vireo.proto.v1.FileEntry;
import dev.vireo.proto.v1.PortConnected;
import dev.vireo.proto.v1.PortForwardRequest;
import dev.vireo.proto.v1.PortForwardResponse;
import dev.vireo.proto.v1.StreamEnd;
import io.grpc.StatusRuntimeException;
import io.grpc.stub.ServerCallStreamObserver;
import io.grpc.stub.StreamObserver;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.CopyOnWriteArrayList;

/** A guest with a few commands, the files that a test gives it, and a server that echoes. */
final class FakeGuest {
  /** Where nobody listens. */
  static final int DEAF_PORT = 1;

  /** Every message of every exec, as it came. */
  final List<ExecRequest> execs = new CopyOnWriteArrayList<>();

  /** How many calls their clients have cancelled. */
  final List<String> cancelled = new CopyOnWriteArrayList<>();

  /** What a copy of a path brings. */
  final Map<String, List<CopyOutResponse>> files = new HashMap<>();

  /** What the last copy in has said of where, what and how much. */
  volatile CopyInStart copyStart = CopyInStart.getDefaultInstance();

  final Map<String, FileEntry> copied = new TreeMap<>();
  final Map<String, ByteString> contents = new TreeMap<>();

  /** Its container's process. */
  final FakeProcess process = new FakeProcess();

  /** Its HTTP server. */
  final FakeWeb web = new FakeWeb();

  private abstract static class Requests<Q> implements StreamObserver<Q> {
    @Override
    public void onError(Throwable error) {}

    @Override
    public void onCompleted() {}
  }

  StreamObserver<ExecRequest> exec(StreamObserver<ExecResponse> client) {
    ((ServerCallStreamObserver<ExecResponse>) client)
        .setOnCancelHandler(() -> cancelled.add("exec"));
    return new Requests<>() {
      private ExecStart start = ExecStart.getDefaultInstance();

      @Override
      public void onNext(ExecRequest request) {
        execs.add(request);
        switch (request.getRequestCase()) {
          case START -> {
            start = request.getStart();
            begin(start, client);
          }
          case STDIN -> client.onNext(stdout(request.getStdin()));
          case STDIN_END -> exit(client, 0);
          case SIGNAL -> exit(client, 128 + request.getSignal());
          case RESIZE, REQUEST_NOT_SET -> {}
        }
      }
    };
  }

  private void begin(ExecStart start, StreamObserver<ExecResponse> client) {
    if (start.getArguments(0).equals("refuse")) {
      client.onError(refusal(start));
      return;
    }
    client.onNext(ExecResponse.newBuilder().setStarted(ExecStarted.newBuilder().setPid(1)).build());
    switch (start.getArguments(0)) {
      case "exit" -> exit(client, Integer.parseInt(start.getArguments(1)));
      case "say" -> {
        client.onNext(stdout(ByteString.copyFromUtf8(start.getArguments(1))));
        client.onNext(
            ExecResponse.newBuilder().setStderr(ByteString.copyFromUtf8("complaint")).build());
        exit(client, 0);
      }
      case "say-twice" -> {
        ByteString bytes = start.getArgumentsBytes(1);
        client.onNext(stdout(bytes));
        client.onNext(ExecResponse.newBuilder().setStderr(bytes).build());
        exit(client, 0);
      }
      case "vanish" -> client.onCompleted();
      case "flood" -> client.onNext(stdout(ByteString.copyFromUtf8("flood")));
      default -> {} // It waits for its input, or a signal.
    }
  }

  /** With a third argument, for this field. */
  private static StatusRuntimeException refusal(ExecStart start) {
    ErrorReason reason = ErrorReason.valueOf(start.getArguments(1));
    return start.getArgumentsCount() < 3
        ? Errors.of(reason, "as was asked for")
        : Errors.badRequest(
            List.of(new Errors.FieldViolation(start.getArguments(2), reason, "as was asked for")));
  }

  private static ExecResponse stdout(ByteString bytes) {
    return ExecResponse.newBuilder().setStdout(bytes).build();
  }

  private static void exit(StreamObserver<ExecResponse> client, int status) {
    client.onNext(
        ExecResponse.newBuilder().setExited(ExecExited.newBuilder().setStatus(status)).build());
    client.onCompleted();
  }

  StreamObserver<CopyInRequest> copyIn(StreamObserver<CopyInResponse> client) {
    return new Requests<>() {
      private String last = "";

      @Override
      public void onNext(CopyInRequest request) {
        switch (request.getRequestCase()) {
          case START -> {
            copyStart = request.getStart();
            if (copyStart.getPath().equals("/full")) {
              client.onError(Errors.of(ErrorReason.GUEST_EXHAUSTED, "no space is left"));
            }
          }
          case ENTRY -> {
            last = request.getEntry().getPath();
            copied.put(last, request.getEntry());
          }
          case DATA -> contents.merge(last, request.getData(), ByteString::concat);
          case REQUEST_NOT_SET -> {}
        }
      }

      @Override
      public void onCompleted() {
        client.onNext(CopyInResponse.newBuilder().setEntries(copied.size()).build());
        client.onCompleted();
      }
    };
  }

  void copyOut(CopyOutRequest request, StreamObserver<CopyOutResponse> client) {
    List<CopyOutResponse> responses = files.get(request.getPath());
    if (responses == null) {
      client.onError(Errors.of(ErrorReason.GUEST_NOT_FOUND, "there is no " + request.getPath()));
      return;
    }
    ((ServerCallStreamObserver<CopyOutResponse>) client)
        .setOnCancelHandler(() -> cancelled.add("copy"));
    responses.forEach(client::onNext);
    client.onCompleted();
  }

  StreamObserver<PortForwardRequest> portForward(StreamObserver<PortForwardResponse> client) {
    return new Requests<>() {
      @Override
      public void onNext(PortForwardRequest request) {
        switch (request.getRequestCase()) {
          case START -> {
            if (request.getStart().getPort() == DEAF_PORT) {
              client.onError(Errors.of(ErrorReason.PORT_REFUSED, "port 1: Connection refused"));
            } else {
              client.onNext(
                  PortForwardResponse.newBuilder()
                      .setConnected(PortConnected.getDefaultInstance())
                      .build());
            }
          }
          case DATA ->
              client.onNext(PortForwardResponse.newBuilder().setData(request.getData()).build());
          case END -> {
            client.onNext(
                PortForwardResponse.newBuilder().setEnd(StreamEnd.getDefaultInstance()).build());
            client.onCompleted();
          }
          case REQUEST_NOT_SET -> {}
        }
      }
    };
  }
}

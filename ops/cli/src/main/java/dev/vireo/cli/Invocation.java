package dev.vireo.cli;

import com.google.protobuf.ByteString;
import dev.vireo.proto.v1.HttpHeader;
import dev.vireo.proto.v1.InvokeHead;
import dev.vireo.proto.v1.InvokeRequest;
import dev.vireo.proto.v1.InvokeResponse;
import dev.vireo.proto.v1.InvokeStart;
import dev.vireo.proto.v1.StreamEnd;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/** One HTTP request to a guest: its body from a stream, its answer on our output. */
final class Invocation {
  private static final int BODY_BYTES = 32 << 10;
  private static final int FIRST_BAD_STATUS = 400;

  private final Api api;
  private final Environment environment;
  private final Consumer<ByteString> out;
  private final boolean include;
  private final boolean fail;
  private final AtomicReference<@Nullable IOException> unreadable = new AtomicReference<>();

  /**
   * @param include status and headers are printed too
   * @param fail a bad status is a failure, and nothing of such an answer is printed
   */
  Invocation(Api api, Environment environment, boolean include, boolean fail) {
    this.api = api;
    this.environment = environment;
    this.out = LocalStreams.out(environment, false);
    this.include = include;
    this.fail = fail;
  }

  /** Returns the exit code of an answer that was whole. */
  int run(InvokeStart start, InputStream body) throws IOException {
    try (DuplexCall<InvokeRequest, InvokeResponse> call =
        new DuplexCall<>(responses -> api.microVmCalls().invoke(responses))) {
      call.send(InvokeRequest.newBuilder().setStart(start).build());
      Thread.ofPlatform().daemon().name("body").start(() -> send(body, call));
      return receive(call);
    } catch (RuntimeException e) {
      IOException why = unreadable.get();
      if (why != null) {
        throw why;
      }
      throw e;
    }
  }

  private void send(InputStream body, DuplexCall<InvokeRequest, InvokeResponse> call) {
    byte[] buffer = new byte[BODY_BYTES];
    try {
      boolean taken = true;
      for (int count = body.read(buffer); count >= 0 && taken; count = body.read(buffer)) {
        taken =
            call.send(
                InvokeRequest.newBuilder().setBody(ByteString.copyFrom(buffer, 0, count)).build());
      }
      call.send(InvokeRequest.newBuilder().setEnd(StreamEnd.getDefaultInstance()).build());
    } catch (IOException e) {
      unreadable.set(e);
      call.close();
    }
  }

  private int receive(DuplexCall<InvokeRequest, InvokeResponse> call) {
    boolean bad = false;
    for (Optional<InvokeResponse> next = call.next(); next.isPresent(); next = call.next()) {
      switch (next.get().getResponseCase()) {
        case HEAD -> {
          bad = fail && next.get().getHead().getStatus() >= FIRST_BAD_STATUS;
          if (bad) {
            environment
                .err()
                .println("error: answered with status " + next.get().getHead().getStatus());
          } else if (include) {
            print(next.get().getHead());
          }
        }
        case BODY -> {
          if (!bad) {
            out.accept(next.get().getBody());
          }
        }
        case END -> {
          return bad ? ExitCode.HTTP_FAILED : ExitCode.OK;
        }
        case RESPONSE_NOT_SET -> {} // Of a newer server.
      }
      if (environment.out().checkError()) {
        return ExitCode.BROKEN_PIPE; // Whoever reads our output has enough.
      }
    }
    throw new CommandException(
        ExitCode.OF_VIREO,
        "the call ended, and not with the answer's end",
        "See what the server has written: vireo logs.");
  }

  private void print(InvokeHead head) {
    StringBuilder text = new StringBuilder("HTTP/1.1 ").append(head.getStatus()).append("\r\n");
    for (HttpHeader header : head.getHeadersList()) {
      text.append(header.getName()).append(": ").append(header.getValue()).append("\r\n");
    }
    out.accept(ByteString.copyFrom(text.append("\r\n").toString(), StandardCharsets.ISO_8859_1));
  }
}

package dev.vireo.cli;

import com.google.protobuf.ByteString;
import dev.vireo.proto.v1.AttachRequest;
import dev.vireo.proto.v1.AttachResponse;
import dev.vireo.proto.v1.AttachStart;
import dev.vireo.proto.v1.ConsoleSize;
import dev.vireo.proto.v1.StdinEnd;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.function.Consumer;

/**
 * This process at a container's: a call that attaches, and ends with either, or by the detach keys.
 */
final class ProcessAttachment implements ProcessInput, AutoCloseable {
  private final Environment environment;
  private final AttachStart start;
  private final boolean terminal;
  private final DuplexCall<AttachRequest, AttachResponse> call;
  private volatile boolean detached;

  /**
   * Attaches.
   *
   * @param start with our terminal's size, if that is known
   * @param terminal the process has one
   */
  ProcessAttachment(Api api, Environment environment, AttachStart start, boolean terminal) {
    this.environment = environment;
    this.start = start;
    this.terminal = terminal;
    this.call = new DuplexCall<>(responses -> api.microVmCalls().attach(responses));
    call.send(AttachRequest.newBuilder().setStart(start).build());
  }

  /** Has our standard input be the process's, and our terminal, until the clean-up. */
  void connectInput(Cleanup cleanup) {
    LocalStreams local = new LocalStreams(environment, this, cleanup);
    if (terminal) {
      local.connectTerminal(start.getStdin());
    }
    if (start.getStdin() && terminal) {
      local.passInput(new DetachKeys(), this::detach);
    } else if (start.getStdin()) {
      local.passInput();
    }
  }

  private void detach() {
    detached = true;
    call.close();
  }

  /** Whether the user has left it. */
  boolean isDetached() {
    return detached;
  }

  /**
   * Prints what it writes, until it ends or is left.
   *
   * @return its exit status; empty if it was left
   * @throws io.grpc.StatusRuntimeException if neither is the case
   */
  OptionalInt follow() {
    Consumer<ByteString> out = LocalStreams.out(environment, terminal);
    Consumer<ByteString> err = LocalStreams.err(environment, terminal);
    try {
      for (Optional<AttachResponse> next = call.next(); next.isPresent(); next = call.next()) {
        AttachResponse response = next.get();
        switch (response.getResponseCase()) {
          case STDOUT -> out.accept(response.getStdout());
          case STDERR -> err.accept(response.getStderr());
          case EXITED -> {
            return OptionalInt.of(response.getExited().getStatus());
          }
          case STARTED, RESPONSE_NOT_SET -> {}
        }
        if (environment.out().checkError()) {
          return OptionalInt.of(ExitCode.BROKEN_PIPE); // Whoever reads our output has enough.
        }
      }
    } catch (RuntimeException e) {
      if (detached) {
        return OptionalInt.empty();
      }
      throw e;
    }
    throw new CommandException(
        ExitCode.OF_VIREO,
        "the call ended, and not with the process' exit status",
        "See what has become of the microVM: vireo get.");
  }

  @Override
  public boolean stdin(ByteString bytes) {
    return call.send(AttachRequest.newBuilder().setStdin(bytes).build());
  }

  @Override
  public void stdinEnd() {
    call.send(AttachRequest.newBuilder().setStdinEnd(StdinEnd.getDefaultInstance()).build());
  }

  @Override
  public void resize(ConsoleSize size) {
    call.sendNow(AttachRequest.newBuilder().setResize(size).build());
  }

  @Override
  public boolean signal(int number) {
    return call.sendNow(AttachRequest.newBuilder().setSignal(number).build());
  }

  @Override
  public void close() {
    call.close();
  }
}

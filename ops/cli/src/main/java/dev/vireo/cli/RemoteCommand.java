package dev.vireo.cli;

import com.google.protobuf.ByteString;
import dev.vireo.proto.v1.ConsoleSize;
import dev.vireo.proto.v1.ExecRequest;
import dev.vireo.proto.v1.ExecResponse;
import dev.vireo.proto.v1.ExecStart;
import dev.vireo.proto.v1.StdinEnd;
import java.util.Optional;
import java.util.function.Consumer;

/**
 * A command in a guest, with this process's standard input, output and error for its own, this
 * process's signals, and, if it has a terminal, the one that the user sits at.
 */
final class RemoteCommand {
  private final Api api;
  private final Environment environment;

  RemoteCommand(Api api, Environment environment) {
    this.api = api;
    this.environment = environment;
  }

  /** Runs it to its end, and returns its exit status. */
  int run(ExecStart start) {
    try (Cleanup cleanup = new Cleanup();
        DuplexCall<ExecRequest, ExecResponse> call =
            new DuplexCall<>(responses -> api.microVmCalls().exec(responses))) {
      call.send(ExecRequest.newBuilder().setStart(start).build());
      LocalStreams local = new LocalStreams(environment, input(call), cleanup);
      local.passSignals();
      if (start.hasTerminal()) {
        local.connectTerminal(start.getStdin());
      }
      if (start.getStdin()) {
        local.passInput();
      }
      return passOutput(call, start);
    }
  }

  static ProcessInput input(DuplexCall<ExecRequest, ExecResponse> call) {
    return new ProcessInput() {
      @Override
      public boolean stdin(ByteString bytes) {
        return call.send(ExecRequest.newBuilder().setStdin(bytes).build());
      }

      @Override
      public void stdinEnd() {
        call.send(ExecRequest.newBuilder().setStdinEnd(StdinEnd.getDefaultInstance()).build());
      }

      @Override
      public void resize(ConsoleSize size) {
        call.sendNow(ExecRequest.newBuilder().setResize(size).build());
      }

      @Override
      public boolean signal(int number) {
        return call.sendNow(ExecRequest.newBuilder().setSignal(number).build());
      }
    };
  }

  private int passOutput(DuplexCall<ExecRequest, ExecResponse> call, ExecStart start) {
    Consumer<ByteString> out = LocalStreams.out(environment, start.hasTerminal());
    Consumer<ByteString> err = LocalStreams.err(environment, start.hasTerminal());
    for (Optional<ExecResponse> next = call.next(); next.isPresent(); next = call.next()) {
      ExecResponse response = next.get();
      switch (response.getResponseCase()) {
        case STDOUT -> out.accept(response.getStdout());
        case STDERR -> err.accept(response.getStderr());
        case EXITED -> {
          return response.getExited().getStatus();
        }
        case STARTED -> {
          if (start.getDetach()) {
            return ExitCode.OK;
          }
        }
        case RESPONSE_NOT_SET -> {} // Of a newer server.
      }
      if (environment.out().checkError()) {
        return ExitCode.BROKEN_PIPE; // Whoever reads our output has enough.
      }
    }
    throw new CommandException(
        ExitCode.OF_VIREO,
        "the call ended, and not with the command's exit status",
        "See the guest's console: vireo logs.");
  }
}

package dev.vireo.cli;

import com.google.protobuf.ByteString;
import dev.vireo.proto.v1.ConsoleSize;
import dev.vireo.proto.v1.ExecRequest;
import dev.vireo.proto.v1.ExecResponse;
import dev.vireo.proto.v1.ExecStart;
import dev.vireo.proto.v1.StdinEnd;
import java.io.IOException;
import java.io.PrintStream;
import java.io.UncheckedIOException;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.function.Consumer;

/**
 * A command in a guest, with this process's standard input, output and error for its own, this
 * process's signals, and, if it has a terminal, the one that the user sits at.
 */
final class RemoteCommand {
  /** For a terminal whose size nobody knows. */
  static final ConsoleSize USUAL_SIZE = ConsoleSize.newBuilder().setColumns(80).setRows(24).build();

  private static final int SIGINT = 2;
  private static final int SIGTERM = 15;
  private static final int KILLED = 128;
  private static final int INPUT_BYTES = 32 << 10;

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
      passSignals(call, cleanup);
      if (start.hasTerminal()) {
        connectTerminal(start, call, cleanup);
      }
      if (start.getStdin()) {
        Thread.ofPlatform().daemon().name("stdin").start(() -> passInput(call));
      }
      return passOutput(call, start);
    }
  }

  /** The first of each goes to the command; if that does not mind it, the second ends us. */
  private static void passSignals(DuplexCall<ExecRequest, ExecResponse> call, Cleanup cleanup) {
    AtomicBoolean once = new AtomicBoolean();
    cleanup.add(Signals.handle("INT", () -> pass(SIGINT, once, call)));
    cleanup.add(Signals.handle("TERM", () -> pass(SIGTERM, once, call)));
  }

  private static void pass(
      int signal, AtomicBoolean once, DuplexCall<ExecRequest, ExecResponse> call) {
    if (once.compareAndSet(false, true)) {
      call.sendNow(ExecRequest.newBuilder().setSignal(signal).build());
    } else {
      System.exit(KILLED + signal);
    }
  }

  private void connectTerminal(
      ExecStart start, DuplexCall<ExecRequest, ExecResponse> call, Cleanup cleanup) {
    Terminal terminal = environment.tty();
    if (start.getStdin() && terminal.isThere()) {
      cleanup.add(terminal.makeRaw());
    }
    cleanup.add(
        Signals.handle(
            "WINCH",
            () ->
                terminal
                    .size()
                    .ifPresent(
                        size -> call.sendNow(ExecRequest.newBuilder().setResize(size).build()))));
  }

  private void passInput(DuplexCall<ExecRequest, ExecResponse> call) {
    byte[] buffer = new byte[INPUT_BYTES];
    boolean taken = true;
    while (taken) {
      int count = read(buffer);
      taken =
          count >= 0
              && call.send(
                  ExecRequest.newBuilder().setStdin(ByteString.copyFrom(buffer, 0, count)).build());
      if (count < 0) {
        call.send(ExecRequest.newBuilder().setStdinEnd(StdinEnd.getDefaultInstance()).build());
      }
    }
  }

  /** What cannot be read is an end. */
  private int read(byte[] buffer) {
    try {
      return environment.in().read(buffer);
    } catch (IOException e) {
      return -1;
    }
  }

  private int passOutput(DuplexCall<ExecRequest, ExecResponse> call, ExecStart start) {
    boolean filtered = environment.terminal() && !start.hasTerminal();
    Consumer<ByteString> out = sink(environment.out(), filtered);
    Consumer<ByteString> err = sink(environment.err(), filtered);
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

  private static Consumer<ByteString> sink(PrintStream to, boolean filtered) {
    if (filtered) {
      return new TerminalFilter(to);
    }
    return bytes -> {
      try {
        bytes.writeTo(to);
      } catch (IOException e) {
        throw new UncheckedIOException(e);
      }
      to.flush();
    };
  }
}

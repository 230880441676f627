package dev.vireo.cli;

import com.google.protobuf.ByteString;
import dev.vireo.proto.v1.ConsoleSize;
import java.io.IOException;
import java.io.PrintStream;
import java.io.UncheckedIOException;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.function.Consumer;

/**
 * This process's standard streams, signals and terminal, as those of a process in a guest. What is
 * changed here for that, a clean-up changes back.
 */
final class LocalStreams {
  /** For a terminal whose size nobody knows. */
  static final ConsoleSize USUAL_SIZE = ConsoleSize.newBuilder().setColumns(80).setRows(24).build();

  private static final int SIGINT = 2;
  private static final int SIGTERM = 15;
  private static final int KILLED = 128;
  private static final int INPUT_BYTES = 32 << 10;

  private final Environment environment;
  private final ProcessInput process;
  private final Cleanup cleanup;

  LocalStreams(Environment environment, ProcessInput process, Cleanup cleanup) {
    this.environment = environment;
    this.process = process;
    this.cleanup = cleanup;
  }

  /**
   * The first goes to the process; if it does not get there, or is not minded, and another comes,
   * it ends us, and by that the process.
   */
  void passSignals() {
    AtomicBoolean once = new AtomicBoolean();
    cleanup.add(Signals.handle("INT", () -> pass(SIGINT, once)));
    cleanup.add(Signals.handle("TERM", () -> pass(SIGTERM, once)));
  }

  private void pass(int signal, AtomicBoolean once) {
    boolean first = once.compareAndSet(false, true);
    if (!first || !process.signal(signal)) {
      System.exit(KILLED + signal);
    }
  }

  /**
   * Makes our terminal the process's: it is told of every change of size.
   *
   * @param keys also what is typed is its own, Ctrl-C too
   */
  void connectTerminal(boolean keys) {
    Terminal terminal = environment.tty();
    if (keys && terminal.isThere()) {
      cleanup.add(terminal.makeRaw());
    }
    cleanup.add(Signals.handle("WINCH", () -> terminal.size().ifPresent(process::resize)));
  }

  /** Passes standard input on, on a thread of its own, to its end. */
  void passInput() {
    passInput(DetachKeys.none(), () -> {});
  }

  /** The same, until these keys are typed. */
  void passInput(DetachKeys keys, Runnable onDetach) {
    Thread.ofPlatform()
        .daemon()
        .name("stdin")
        .start(() -> {
          passUntil(keys);
          if (keys.areTyped()) {
            onDetach.run();
          }
        });
  }

  private void passUntil(DetachKeys keys) {
    byte[] buffer = new byte[INPUT_BYTES];
    boolean taken = true;
    while (taken && !keys.areTyped()) {
      int count = read(buffer);
      if (count < 0) {
        process.stdinEnd();
        return;
      }
      ByteString passed = keys.pass(ByteString.copyFrom(buffer, 0, count));
      taken = passed.isEmpty() || process.stdin(passed);
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

  /**
   * Where what it writes to its standard output goes: unchanged, or made harmless for our terminal.
   *
   * @param raw unchanged there, too
   */
  static Consumer<ByteString> out(Environment environment, boolean raw) {
    return sink(environment.out(), environment.terminal() && !raw);
  }

  /** The same for its standard error. */
  static Consumer<ByteString> err(Environment environment, boolean raw) {
    return sink(environment.err(), environment.errTerminal() && !raw);
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

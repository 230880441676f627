package dev.vireo.cli;

import io.grpc.inprocess.InProcessChannelBuilder;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.time.Clock;
import java.time.ZoneOffset;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;

/** Runs command lines against a {@link FakeController} and keeps what they print. */
final class Cli {
  private final ByteArrayOutputStream out = new ByteArrayOutputStream();
  private final ByteArrayOutputStream err = new ByteArrayOutputStream();
  private final FakeController controller;
  private final Map<String, String> variables = new HashMap<>(Map.of("HOME", "/nowhere"));
  private boolean outTerminal;
  private boolean errTerminal;
  private boolean unread;
  private InputStream in = InputStream.nullInputStream();
  private Terminal tty = Terminal.NONE;

  Cli(FakeController controller) {
    this.controller = controller;
  }

  Cli onTerminal() {
    return onTerminal(true, true);
  }

  /** Which of standard output and standard error is one. */
  Cli onTerminal(boolean out, boolean err) {
    outTerminal = out;
    errTerminal = err;
    return this;
  }

  /** Nobody reads what is printed. */
  Cli intoClosedPipe() {
    unread = true;
    return this;
  }

  /** What standard input is. */
  Cli with(InputStream input) {
    in = input;
    return this;
  }

  /** Where standard input comes from. */
  Cli with(Terminal inputTerminal) {
    tty = inputTerminal;
    return this;
  }

  Cli with(String variable, String value) {
    variables.put(variable, value);
    return this;
  }

  /** Returns the exit code. What an earlier run printed is forgotten. */
  int run(String[]... arguments) {
    return run(Arrays.stream(arguments).flatMap(Arrays::stream).toArray(String[]::new));
  }

  /** As {@link #run(String[][])}. */
  int run(String... arguments) {
    out.reset();
    err.reset();
    return Main.run(environment(), arguments);
  }

  byte[] bytes() {
    return out.toByteArray();
  }

  String out() {
    return out.toString(StandardCharsets.UTF_8);
  }

  String err() {
    return err.toString(StandardCharsets.UTF_8);
  }

  Environment environment() {
    return new Environment(
        unread ? closedPipe() : new PrintStream(out, true, StandardCharsets.UTF_8),
        new PrintStream(err, true, StandardCharsets.UTF_8),
        outTerminal,
        errTerminal,
        Clock.fixed(FakeController.NOW, ZoneOffset.UTC),
        variables,
        address -> InProcessChannelBuilder.forName(controller.serverName).directExecutor().build(),
        in,
        tty);
  }

  private static PrintStream closedPipe() {
    return new PrintStream(
        new OutputStream() {
          @Override
          public void write(int octet) throws IOException {
            throw new IOException("Broken pipe");
          }
        });
  }
}

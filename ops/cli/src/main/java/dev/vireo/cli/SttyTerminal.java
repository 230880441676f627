package dev.vireo.cli;

import dev.vireo.proto.v1.ConsoleSize;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** The terminal of this process, by POSIX's {@code stty}, which acts on its standard input. */
final class SttyTerminal implements Terminal {
  private static final Pattern SIZE = Pattern.compile("([0-9]{1,5}) ([0-9]{1,5})");
  private static final int MAX_CHARACTERS = 65_535;
  private static final long PATIENCE_SECONDS = 5;

  @Override
  public boolean isThere() {
    return stty("-g").isPresent();
  }

  @Override
  public Optional<ConsoleSize> size() {
    Matcher size = SIZE.matcher(stty("size").orElse(""));
    if (!size.matches()) {
      return Optional.empty();
    }
    int rows = Integer.parseInt(size.group(1));
    int columns = Integer.parseInt(size.group(2));
    return rows < 1 || columns < 1 || rows > MAX_CHARACTERS || columns > MAX_CHARACTERS
        ? Optional.empty()
        : Optional.of(ConsoleSize.newBuilder().setRows(rows).setColumns(columns).build());
  }

  @Override
  public Cleanup.Task makeRaw() {
    String before =
        stty("-g")
            .orElseThrow(() ->
                new CommandException(
                    ExitCode.OF_VIREO, "stty cannot read the terminal's settings", ""));
    if (stty("raw", "-echo").isEmpty()) {
      throw new CommandException(ExitCode.OF_VIREO, "stty cannot make the terminal raw", "");
    }
    return () -> stty(before);
  }

  /** What it prints, if it succeeds. */
  private static Optional<String> stty(String... arguments) {
    List<String> command = new ArrayList<>(List.of("stty"));
    command.addAll(List.of(arguments));
    try {
      Process stty =
          new ProcessBuilder(command)
              .redirectInput(ProcessBuilder.Redirect.INHERIT)
              .redirectError(ProcessBuilder.Redirect.DISCARD)
              .start();
      String printed =
          new String(stty.getInputStream().readAllBytes(), StandardCharsets.US_ASCII).strip();
      if (!stty.waitFor(PATIENCE_SECONDS, TimeUnit.SECONDS)) {
        stty.destroyForcibly();
        return Optional.empty();
      }
      return stty.exitValue() == 0 ? Optional.of(printed) : Optional.empty();
    } catch (IOException e) {
      return Optional.empty();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      return Optional.empty();
    }
  }
}

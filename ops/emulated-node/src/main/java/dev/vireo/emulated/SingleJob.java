package dev.vireo.emulated;

import static dev.vireo.emulated.EmulatedNodeException.Reason.MACHINE_FAILED;
import static dev.vireo.emulated.EmulatedNodeException.Reason.TIMED_OUT;

import dev.vireo.images.ImageException;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.lang.ProcessBuilder.Redirect;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.CompletableFuture;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/**
 * A job that an outer machine is booted for, and that it ends with.
 *
 * @param timeoutSeconds how long it may take, boot and all
 * @param consoleCopy where to keep what the outer kernel said, if anywhere
 */
record SingleJob(
    OuterImage image, OuterMachine.Job job, int timeoutSeconds, @Nullable Path consoleCopy) {
  private static final Pattern STATUS = Pattern.compile("job ended with status (\\d+)");

  /** Takes what a job says, up to its end. */
  interface Listener {
    void readFrom(InputStream output) throws IOException;
  }

  /**
   * Runs it; what it says is on our own standard output.
   *
   * @param state a directory of this run alone
   * @return the status that it ended with
   * @throws EmulatedNodeException TIMED_OUT; MACHINE_FAILED if the machine ended before the job
   */
  int run(Path state)
      throws IOException, ImageException, InterruptedException, EmulatedNodeException {
    return run(state, Redirect.INHERIT, nothing -> {});
  }

  /** As the other, but what it says goes to a listener, on another thread. */
  int run(Path state, Listener listener)
      throws IOException, ImageException, InterruptedException, EmulatedNodeException {
    return run(state, Redirect.PIPE, listener);
  }

  private int run(Path state, Redirect redirect, Listener listener)
      throws IOException, ImageException, InterruptedException, EmulatedNodeException {
    for (int start = 1; ; start++) {
      try (var machine = OuterMachine.start(image, job, state, redirect)) {
        CompletableFuture<Void> heard =
            CompletableFuture.runAsync(() -> hear(machine.output(), listener));
        boolean ended = machine.await(timeoutSeconds);
        String console = machine.console();
        if (consoleCopy != null) {
          Files.writeString(consoleCopy, console);
        }
        if (!ended) {
          throw new EmulatedNodeException(
              TIMED_OUT, "not done in %d s; its console:%n%s".formatted(timeoutSeconds, console));
        }
        heard.join();
        if (!machine.lostItsClock() || start == OuterMachine.MOST_STARTS) {
          return statusIn(console);
        }
      }
    }
  }

  private static void hear(InputStream output, Listener listener) {
    try (output) {
      listener.readFrom(output);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  static int statusIn(String console) throws EmulatedNodeException {
    Matcher matcher = STATUS.matcher(console);
    if (!matcher.find()) {
      throw new EmulatedNodeException(
          MACHINE_FAILED, "the outer machine ended before its job did; its console:\n" + console);
    }
    return Integer.parseInt(matcher.group(1));
  }
}

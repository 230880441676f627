package dev.vireo.oci;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.vireo.oci.PullProgress.Phase;
import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import org.junit.jupiter.api.Test;

/** What people and programs see of a pull, by a clock that stands. */
class ProgressTest {
  private static final long SECOND = 1_000_000_000L;

  private final ByteArrayOutputStream out = new ByteArrayOutputStream();
  private final PrintStream stream = new PrintStream(out, true, UTF_8);
  private long now;

  @Test
  void elsewhereThanOnATerminalThereIsALineEveryFewSeconds() {
    ProgressBar bar = new ProgressBar(stream, false, () -> now);

    bar.begin(Phase.DOWNLOAD, 40 << 20);
    for (int second = 1; second <= 4; second++) {
      now = second * SECOND;
      bar.advance(5 << 20);
    }
    bar.end();

    assertEquals(
        "downloading      [#########...............]     15.0 / 40.0 MiB  5.0 MiB/s\n",
        out.toString(UTF_8));
  }

  @Test
  void onATerminalOneLineIsWrittenAnew() {
    ProgressBar bar = new ProgressBar(stream, true, () -> now);

    bar.begin(Phase.WRITE, 0);
    now = SECOND;
    bar.advance(3 << 20);
    bar.end();

    assertEquals("\r\033[Kwriting the root      3.0 MiB  3.0 MiB/s\r\033[K", out.toString(UTF_8));
  }

  @Test
  void aProgramIsToldAtMostTwiceASecond() {
    JsonProgress progress = new JsonProgress(stream, () -> now);

    progress.begin(Phase.READ, 10);
    progress.advance(1);
    now = SECOND;
    progress.advance(2);
    progress.begin(Phase.WRITE, 0);

    assertEquals(
        """
        {"doneBytes":0,"phase":"read","totalBytes":10}
        {"doneBytes":3,"phase":"read","totalBytes":10}
        {"doneBytes":0,"phase":"write"}
        """,
        out.toString(UTF_8));
  }
}

package dev.vireo.emulated;

import static dev.vireo.emulated.EmulatedNodeException.Reason.MACHINE_FAILED;
import static java.nio.charset.StandardCharsets.UTF_8;

import java.io.BufferedReader;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.util.Base64;
import java.util.zip.GZIPInputStream;

/**
 * What a job of tests says on its one way out, a serial port: what is for people, and after a mark
 * the report, compressed and in base64.
 */
final class TestOutput {
  /** A line of its own, before the report. */
  static final String MARK = "vireo-emulated: report";

  private final PrintStream people;
  private final StringBuilder report = new StringBuilder();
  private boolean marked;

  /**
   * @param people gets what is not the report, line by line
   */
  TestOutput(PrintStream people) {
    this.people = people;
  }

  /** Takes everything up to its end. */
  void readFrom(InputStream output) throws IOException {
    BufferedReader lines = new BufferedReader(new InputStreamReader(output, UTF_8));
    for (String line = lines.readLine(); line != null; line = lines.readLine()) {
      if (marked) {
        report.append(line.strip());
      } else if (line.strip().equals(MARK)) {
        marked = true;
      } else {
        people.println(line);
      }
    }
  }

  /**
   * The report.
   *
   * @throws EmulatedNodeException MACHINE_FAILED if none has come, or not all of it
   */
  String report() throws EmulatedNodeException {
    try (var text =
        new GZIPInputStream(
            new ByteArrayInputStream(Base64.getDecoder().decode(report.toString())))) {
      return new String(text.readAllBytes(), UTF_8);
    } catch (IOException | IllegalArgumentException e) {
      throw new EmulatedNodeException(
          MACHINE_FAILED, "the tests left no report: " + e.getMessage());
    }
  }
}

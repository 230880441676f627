package dev.vireo.fuzz;

import static java.util.Objects.requireNonNull;

import com.sun.management.OperatingSystemMXBean;
import java.lang.management.ManagementFactory;
import org.jspecify.annotations.Nullable;

/** What Jazzer calls. */
public final class DeviceFuzzer {
  static final String RACING = "racing";

  /** How the last line begins that is written to the log. */
  static final String SUMMARY = "fuzzed: ";

  private static @Nullable Examination examination;
  private static long inputs;

  private DeviceFuzzer() {}

  /**
   * Once.
   *
   * @param arguments a target's name, and {@link #RACING} if it is to be so
   */
  public static void fuzzerInitialize(String[] arguments) {
    examination =
        new Examination(
            Target.named(arguments[0]), arguments.length > 1 && arguments[1].equals(RACING));
  }

  /** For each input. */
  public static void fuzzerTestOneInput(byte[] input) {
    inputs++;
    requireNonNull(examination, "not initialized").run(input);
  }

  /** At the end: what it cost. */
  @SuppressWarnings("SystemOut") // Into Jazzer's own log.
  public static void fuzzerTearDown() {
    OperatingSystemMXBean system =
        (OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();
    System.err.printf(
        "%s%d inputs in %.1f s of CPU time%n", SUMMARY, inputs, system.getProcessCpuTime() / 1e9);
  }
}

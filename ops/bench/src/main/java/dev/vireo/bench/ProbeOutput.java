package dev.vireo.bench;

import java.util.HashMap;
import java.util.Map;

/** What the probe guest printed on its serial line (ops/guest/probe/README.md). */
public record ProbeOutput(String text, Map<String, String> values, boolean ended, boolean passed) {
  private static final String PASSED = "probe: passed";
  private static final String FAILED = "probe: failed";

  /** Reads as much as has come so far. */
  public static ProbeOutput parse(String text) {
    Map<String, String> values = new HashMap<>();
    boolean passed = false;
    boolean failed = false;
    for (String line : text.lines().toList()) {
      int equals = line.indexOf('=');
      if (equals > 0) {
        values.put(line.substring(0, equals), line.substring(equals + 1));
      }
      passed |= line.equals(PASSED);
      failed |= line.equals(FAILED);
    }
    return new ProbeOutput(text, Map.copyOf(values), passed || failed, passed);
  }

  /** A number that the probe must have printed. */
  public long number(String key) {
    String value = values.get(key);
    if (value == null) {
      throw new IllegalStateException("the probe printed no " + key + ":\n" + text);
    }
    return Long.parseLong(value);
  }

  /** This, or an exception with the text if the probe did not pass. */
  public ProbeOutput requirePassed() {
    if (!passed) {
      throw new IllegalStateException("the probe did not pass:\n" + text);
    }
    return this;
  }
}

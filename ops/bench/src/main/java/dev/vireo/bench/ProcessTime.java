package dev.vireo.bench;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/** A process's CPU time as /proc/PID/stat tells it (proc(5)). */
public final class ProcessTime {
  /** USER_HZ, which is the same on every architecture that we know. */
  private static final double TICKS_PER_SECOND = 100;

  // Counted from the field behind the program's name, which may hold blanks.
  private static final int UTIME = 11;
  private static final int STIME = 12;

  private ProcessTime() {}

  /** User and system time of all its threads so far; a vCPU's time in its guest is user time. */
  public static double cpuSeconds(long pid) throws IOException {
    return parse(Files.readString(Path.of("/proc/" + pid + "/stat")));
  }

  static double parse(String stat) {
    String[] fields = stat.substring(stat.lastIndexOf(')') + 2).split(" ", -1);
    return (Long.parseLong(fields[UTIME]) + Long.parseLong(fields[STIME])) / TICKS_PER_SECOND;
  }
}

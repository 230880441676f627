package dev.vireo.worker.node;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Optional;
import java.util.OptionalLong;

/** What {@code proc(5)} tells about this machine and its processes. */
public final class ProcFiles {
  private static final long KIB = 1024;

  /** USER_HZ is 100 on x86-64 and arm64. */
  private static final Duration TICK = Duration.ofMillis(10);

  private ProcFiles() {}

  /** Differs after each boot of the machine. */
  public static String bootId() throws IOException {
    return Files.readString(Path.of("/proc/sys/kernel/random/boot_id")).strip();
  }

  /** Memory that the kernel manages, MiB. */
  public static long memoryTotalMib() throws IOException {
    return field(Path.of("/proc/meminfo"), "MemTotal:").orElseThrow() / KIB;
  }

  /** Memory that could be had without swapping, MiB. */
  public static long memoryAvailableMib() throws IOException {
    return field(Path.of("/proc/meminfo"), "MemAvailable:").orElseThrow() / KIB;
  }

  /** Huge pages of the usual size that nobody has or has reserved; 0 without any. */
  public static long hugePagesFree() {
    Path file = Path.of("/proc/meminfo");
    try {
      long free = field(file, "HugePages_Free:").orElse(0);
      return Math.max(0, free - field(file, "HugePages_Rsvd:").orElse(0));
    } catch (IOException e) {
      return 0;
    }
  }

  /** A process's resident pages, each divided by how many share it; empty if it is gone. */
  public static OptionalLong proportionalSetBytes(int pid) {
    try {
      OptionalLong kib = field(Path.of("/proc/" + pid + "/smaps_rollup"), "Pss:");
      return kib.isPresent() ? OptionalLong.of(kib.getAsLong() * KIB) : kib;
    } catch (IOException e) {
      return OptionalLong.empty();
    }
  }

  /** What a process's threads have had of CPUs, those that have ended too; empty if it is gone. */
  public static Optional<Duration> cpuTime(int pid) {
    try {
      return Optional.of(
          cpuTime(Files.readString(Path.of("/proc/" + pid + "/stat"), StandardCharsets.US_ASCII)));
    } catch (IOException e) {
      return Optional.empty();
    }
  }

  /** Of the line in {@code /proc/PID/stat}: utime and stime, its fields 14 and 15. */
  static Duration cpuTime(String stat) {
    // The second field is the command in parentheses, which may hold anything.
    String[] fromThird = stat.substring(stat.lastIndexOf(')') + 2).split(" ", -1);
    return TICK.multipliedBy(Long.parseLong(fromThird[11]) + Long.parseLong(fromThird[12]));
  }

  /** The number after the name, in a file of "Name: 123 kB" lines. */
  static OptionalLong field(Path file, String name) throws IOException {
    return Files.readAllLines(file).stream()
        .filter(line -> line.startsWith(name))
        .mapToLong(line -> Long.parseLong(line.substring(name.length()).replace("kB", "").strip()))
        .findFirst();
  }
}

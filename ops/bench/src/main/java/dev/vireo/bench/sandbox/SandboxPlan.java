package dev.vireo.bench.sandbox;

/**
 * How much {@code vireo bench sandbox} measures.
 *
 * @param probeExecs commands in a bare-metal guest
 * @param streams how often a stream is sent each way, and how large it is
 * @param runs containers that are run for their first byte of output
 * @param execs commands in a Linux guest, and as many by a connection of ssh that is there
 * @param connections of ssh that are made anew, a command in each
 * @param boots guests of each format of a root file system, one after the other
 * @param neighbours guests of the same root file system, at once
 * @param quick whether the devices' benchmark is a quick one
 * @param only what is measured is named so, or begins so; all if empty
 */
record SandboxPlan(
    int probeExecs,
    Streams streams,
    int runs,
    int execs,
    int connections,
    int boots,
    int neighbours,
    boolean quick,
    String only) {
  private static final long MIB = 1 << 20;

  static final SandboxPlan FULL =
      new SandboxPlan(2_000, new Streams(5, 256 * MIB), 5, 100, 10, 2, 3, false, "");

  static final SandboxPlan QUICK =
      new SandboxPlan(1_000, new Streams(3, 64 * MIB), 2, 20, 3, 1, 2, true, "");

  /** Of bytes by vsock. */
  record Streams(int rounds, long bytes) {}

  /** The same, of what begins with {@code name}. */
  SandboxPlan only(String name) {
    return new SandboxPlan(
        probeExecs, streams, runs, execs, connections, boots, neighbours, quick, name);
  }

  boolean wants(String name) {
    return name.startsWith(only);
  }
}

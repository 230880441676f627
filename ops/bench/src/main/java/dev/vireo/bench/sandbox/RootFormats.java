package dev.vireo.bench.sandbox;

import dev.vireo.bench.Samples;
import dev.vireo.bench.cluster.LocalCluster;
import dev.vireo.bench.sandbox.RootImages.Format;
import dev.vireo.bench.sandbox.RootImages.Root;
import dev.vireo.proto.v1.Boot;
import dev.vireo.proto.v1.Console;
import dev.vireo.proto.v1.CreateMicroVmRequest.Wait;
import dev.vireo.proto.v1.Disk;
import dev.vireo.proto.v1.MicroVmSpec;
import dev.vireo.proto.v1.Vsock;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;

/**
 * Guests with the same root file system in different formats: how long until a program on it has
 * written, and what memory of it they share.
 */
final class RootFormats {
  /** Reads what a small interpreter needs. */
  private static final String[] PROGRAM = {
    "/usr/bin/python3", "-c", "import json, re, subprocess, tempfile; print('first')"
  };

  private static final double KIB_PER_MIB = 1024;
  private static final double MIB = 1 << 20;

  private final LocalCluster cluster;
  private final LinuxHost host;
  private final SandboxPlan plan;
  private final Consumer<String> progress;
  private int started;

  RootFormats(LocalCluster cluster, LinuxHost host, SandboxPlan plan, Consumer<String> progress) {
    this.cluster = cluster;
    this.host = host;
    this.plan = plan;
    this.progress = progress;
  }

  /**
   * Of one format.
   *
   * @param fileMib of the file
   * @param bootMillis from the create call until the agent is there
   * @param firstByteMillis until a client has what a program on it writes
   * @param vmmPssMib the mean of a VMM with its guest's memory, of several at once
   * @param guestCacheMib of files and blocks in a guest, which each has for itself
   * @param nodeCacheMib that the node keeps of the file, once for all
   */
  record Result(
      double fileMib,
      Samples bootMillis,
      Samples firstByteMillis,
      double vmmPssMib,
      double guestCacheMib,
      double nodeCacheMib) {}

  /**
   * @param roots files on the node, which are removed
   */
  Map<Format, Result> measure(List<Root> roots) throws IOException {
    List<Booted> booted = roots.stream().map(Booted::new).toList();
    // What the node reads once, such as the kernel, is then there; as after a guest for ssh.
    if (!plan.wants(SandboxRun.EXEC)) {
      booted.getFirst().warmUp();
    }
    for (int round = 1; round <= plan.boots(); round++) {
      for (Booted each : round % 2 == 0 ? booted.reversed() : booted) {
        progress.accept(
            "A root file system as %s, boot %d of %d …"
                .formatted(each.root.format().label(), round, plan.boots()));
        each.boot();
      }
    }
    Map<Format, Result> results = new EnumMap<>(Format.class);
    for (Booted each : booted) {
      results.put(each.root.format(), shared(each));
    }
    return results;
  }

  /** A root file system, and how long its guests took. */
  private final class Booted {
    private final Root root;
    private final List<Double> bootMillis = new ArrayList<>();
    private final List<Double> firstByteMillis = new ArrayList<>();

    Booted(Root root) {
      this.root = root;
    }

    void warmUp() {
      progress.accept("A guest to warm up …");
      try (LinuxGuest guest = next()) {
        RootFormats.this.boot(guest, root);
        write(guest);
      }
    }

    void boot() {
      try (LinuxGuest guest = next()) {
        long called = System.nanoTime();
        RootFormats.this.boot(guest, root);
        bootMillis.add((System.nanoTime() - called) / 1e6);
        write(guest);
        firstByteMillis.add((System.nanoTime() - called) / 1e6);
      }
    }
  }

  private LinuxGuest next() {
    return new LinuxGuest(cluster, "root-" + ++started);
  }

  private static void write(LinuxGuest guest) {
    String output = guest.exec().run(PROGRAM).output();
    if (!output.equals("first\n")) {
      throw new IllegalStateException("python3 in the guest says: " + output);
    }
  }

  /** Starts a guest on it and waits for its agent. */
  void boot(LinuxGuest guest, Root root) {
    MicroVmSpec spec =
        MicroVmSpec.newBuilder()
            .setVcpus(1)
            .setMemoryMib(256)
            .setBoot(
                Boot.newBuilder()
                    .setKernel("debian-12")
                    .setInitramfs(host.images().resolve("debian-12/agent-initramfs").toString())
                    .setCommandLine("vireo.root=root," + root.format().label()))
            .addDisks(
                Disk.newBuilder().setId("root").setSource(root.file().toString()).setReadOnly(true))
            .setVsock(Vsock.getDefaultInstance())
            .setConsole(Console.newBuilder().setReadyMarker("vireo-agent: ready"))
            .build();
    var _ = guest.create(spec, Wait.WAIT_READY);
  }

  private Result shared(Booted booted) throws IOException {
    Root root = booted.root;
    progress.accept(
        "%d guests with the root file system as %s …"
            .formatted(plan.neighbours(), root.format().label()));
    host.shell("sync; echo 3 > /proc/sys/vm/drop_caches");
    double guestCache = 0;
    double pss = 0;
    List<LinuxGuest> guests = new ArrayList<>();
    try {
      for (int i = 0; i < plan.neighbours(); i++) {
        LinuxGuest guest = next();
        guests.add(guest);
        boot(guest, root);
        write(guest);
      }
      for (LinuxGuest guest : guests) {
        String memory = guest.exec().run("/bin/cat", "/proc/meminfo").output();
        guestCache += meminfo(memory, "Cached") + meminfo(memory, "Buffers");
        pss += guest.inspect().getPssBytes() / MIB;
      }
    } finally {
      guests.forEach(LinuxGuest::close);
    }
    return new Result(
        root.mib(),
        new Samples(booted.bootMillis),
        new Samples(booted.firstByteMillis),
        pss / guests.size(),
        guestCache / guests.size(),
        cacheOf(root.file()));
  }

  /** What the node keeps of a file, which is nothing any more once the file is no more. */
  private double cacheOf(Path file) throws IOException {
    double before = nodeCacheMib();
    host.shell("rm " + file);
    return before - nodeCacheMib();
  }

  private double nodeCacheMib() throws IOException {
    return meminfo(host.shell("cat /proc/meminfo"), "Cached");
  }

  /** MiB of a line of {@code /proc/meminfo}. */
  static double meminfo(String text, String name) {
    return text.lines()
        .filter(line -> line.startsWith(name + ":"))
        .mapToDouble(line -> Double.parseDouble(line.replaceAll("[^0-9]", "")) / KIB_PER_MIB)
        .findFirst()
        .orElseThrow(() -> new IllegalArgumentException("no " + name + " in " + text));
  }
}

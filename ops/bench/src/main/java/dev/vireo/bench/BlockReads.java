package dev.vireo.bench;

import dev.vireo.bench.BenchReport.Pair;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.function.Consumer;

/**
 * The probe's random 4 KiB reads on both machines in turn: same ELF, same file, same page cache.
 */
final class BlockReads {
  private final VireoMicrovm vireo;
  private final QemuMicrovm qemu;
  private final Path disk;
  private final BenchPlan plan;
  private final Consumer<String> progress;

  BlockReads(
      VireoMicrovm vireo, QemuMicrovm qemu, Path disk, BenchPlan plan, Consumer<String> progress) {
    this.vireo = vireo;
    this.qemu = qemu;
    this.disk = disk;
    this.plan = plan;
    this.progress = progress;
  }

  /** Medians of the rounds. Exits are those on the disk's registers, and of them on QueueNotify. */
  record Result(Pair iops, double userExitsPerIo, double notificationExitsPerIo) {}

  Result measure(int depth) throws IOException {
    String arguments =
        String.format(
            Locale.ROOT,
            "probe.run=blk-read probe.block=4096 probe.depth=%d probe.ops=0 probe.duration_ms=%d",
            depth,
            plan.readTime().toMillis());
    GuestSetup setup = GuestSetup.of(arguments).withDisk(disk);
    List<Double> ours = new ArrayList<>();
    List<Double> theirs = new ArrayList<>();
    List<Double> exits = new ArrayList<>();
    List<Double> notificationExits = new ArrayList<>();
    for (int round = 1; round <= plan.readRounds(); round++) {
      progress.accept(
          "4K reads, depth " + depth + ", round " + round + " of " + plan.readRounds() + " …");
      Finished finished = vireo.run(setup);
      ours.add((double) finished.output().number("iops"));
      exits.add(finished.exitsPerIo());
      notificationExits.add(finished.notificationExitsPerIo());
      theirs.add((double) qemu.run(setup).output().number("iops"));
    }
    return new Result(
        new Pair(BenchRun.median(ours), BenchRun.median(theirs)),
        BenchRun.median(exits),
        BenchRun.median(notificationExits));
  }
}

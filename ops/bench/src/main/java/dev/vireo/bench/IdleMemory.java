package dev.vireo.bench;

import dev.vireo.bench.BenchReport.Pair;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;

/**
 * Mean proportional memory of VMMs whose guests sleep, all alive at once, first of one kind, then
 * of the other.
 */
final class IdleMemory {
  private final VireoMicrovm vireo;
  private final QemuMicrovm qemu;
  private final Consumer<String> progress;

  IdleMemory(VireoMicrovm vireo, QemuMicrovm qemu, Consumer<String> progress) {
    this.vireo = vireo;
    this.qemu = qemu;
    this.progress = progress;
  }

  Pair measure(int count) throws IOException {
    progress.accept("Memory of " + count + " idle microVMs …");
    double ours = measureVireo(count);
    progress.accept("Memory of " + count + " idle QEMU microvm processes …");
    return new Pair(ours, measureQemu(count));
  }

  private double measureVireo(int count) throws IOException {
    List<VireoMicrovm.Guest> guests = new ArrayList<>();
    try {
      for (int i = 0; i < count; i++) {
        guests.add(vireo.startIdle());
      }
      return meanPssMib(guests.stream().map(VireoMicrovm.Guest::vmmPid).toList());
    } finally {
      guests.forEach(vireo::delete);
      vireo.awaitGone();
    }
  }

  private double measureQemu(int count) throws IOException {
    List<QemuMicrovm.Guest> guests = new ArrayList<>();
    try {
      for (int i = 0; i < count; i++) {
        guests.add(qemu.startIdle());
      }
      return meanPssMib(guests.stream().map(guest -> guest.process().pid()).toList());
    } finally {
      for (QemuMicrovm.Guest guest : guests) {
        qemu.stop(guest);
      }
    }
  }

  private static double meanPssMib(List<Long> pids) throws IOException {
    double sum = 0;
    for (long pid : pids) {
      sum += ProcessMemory.pssMib(pid);
    }
    return sum / pids.size();
  }
}

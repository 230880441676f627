package dev.vireo.bench;

import dev.vireo.bench.BenchReport.Pair;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;
import java.util.function.IntFunction;

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

  /**
   * @param setups what the guest of each number has; it must not touch its memory
   */
  Pair measure(String what, int count, IntFunction<GuestSetup> setups) throws IOException {
    progress.accept("Memory of " + count + " microVMs, " + what + " …");
    double ours = measureVireo(count, setups);
    progress.accept("Memory of " + count + " QEMU microvm processes, " + what + " …");
    return new Pair(ours, measureQemu(count, setups));
  }

  private double measureVireo(int count, IntFunction<GuestSetup> setups) throws IOException {
    List<VireoMicrovm.Guest> guests = new ArrayList<>();
    try {
      for (int i = 0; i < count; i++) {
        guests.add(vireo.start(setups.apply(i)));
      }
      return meanPssMib(guests.stream().map(VireoMicrovm.Guest::vmmPid).toList());
    } finally {
      guests.forEach(vireo::delete);
      vireo.awaitGone();
    }
  }

  private double measureQemu(int count, IntFunction<GuestSetup> setups) throws IOException {
    List<QemuMicrovm.Guest> guests = new ArrayList<>();
    try {
      for (int i = 0; i < count; i++) {
        guests.add(qemu.start(setups.apply(i)));
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

package dev.vireo.vmm.control;

import dev.vireo.linux.Fd;
import dev.vireo.proto.vmm.v1.VmmResponse;
import dev.vireo.proto.vmm.v1.VmmStatus;
import dev.vireo.proto.vmm.v1.VmmTimings;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * Measures packaged VMM processes on this host's KVM: time from exec to the first answer, memory
 * while idle and with a sleeping guest, and time from spec to the guest. For developers: {@code
 * java -cp <test class path> dev.vireo.vmm.control.VmmMeasurement target/vmm probe.elf 20}.
 */
final class VmmMeasurement {
  private VmmMeasurement() {}

  @SuppressWarnings("SystemOut") // A program that prints.
  public static void main(String[] arguments) throws IOException {
    Path home = Path.of(arguments[0]).toAbsolutePath();
    int count = Integer.parseInt(arguments[2]);
    List<VmmClient> vmms = new ArrayList<>();
    List<Double> startMillis = new ArrayList<>();
    List<Double> firstRunMillis = new ArrayList<>();
    List<Double> answerMillis = new ArrayList<>();
    List<Double> startCpuMillis = new ArrayList<>();
    List<Double> createCpuMillis = new ArrayList<>();
    try (Fd kvm = Fd.open("/dev/kvm", Fd.O_RDWR);
        Fd kernel = Fd.open(arguments[1], Fd.O_RDONLY)) {
      for (int i = 0; i < count; i++) {
        long start = System.nanoTime();
        VmmClient vmm = VmmClient.spawnPackaged(home, kvm);
        vmms.add(vmm);
        vmm.status();
        startMillis.add((System.nanoTime() - start) / 1e6);
        startCpuMillis.add(vmm.cpuNanos() / 1e6);
      }
      System.out.println("exec to first answer, ms: " + quantiles(startMillis));
      System.out.println("  of CPU: " + quantiles(startCpuMillis));
      System.out.println("idle PSS, MiB: " + meanPss(vmms));
      for (VmmClient vmm : vmms) {
        try (Fd console = Fd.memory("console", 0);
            Fd exitRecord = Fd.memory("exit record", 0);
            Fd disk = Fd.memory("disk", 16 << 20)) {
          VmmClient.Create create =
              new VmmClient.Create(kvm, kernel, console, exitRecord)
                  .commandLine("probe.run=idle")
                  .disk("disk0", disk);
          create.request().setMemoryBytes(128 << 20);
          long cpuBefore = vmm.cpuNanos();
          long start = System.nanoTime();
          VmmResponse response = vmm.create(create);
          answerMillis.add((System.nanoTime() - start) / 1e6);
          if (!response.getErrorReason().isEmpty()) {
            throw new IllegalStateException(response.getErrorMessage());
          }
          VmmTimings timings = vmm.awaitStatus(VmmStatus::getConsoleReady).getTimings();
          createCpuMillis.add((vmm.cpuNanos() - cpuBefore) / 1e6);
          firstRunMillis.add((timings.getFirstRunNs() - start) / 1e6);
          if (vmm == vmms.getFirst() || vmm == vmms.getLast()) {
            System.out.println(describe(timings));
          }
        }
      }
      System.out.println("request sent to first instruction, ms: " + quantiles(firstRunMillis));
      System.out.println("request sent to answer, ms: " + quantiles(answerMillis));
      System.out.println("CPU from request to console, ms: " + quantiles(createCpuMillis));
      System.out.println("PSS with a sleeping guest, MiB: " + meanPss(vmms));
    } finally {
      vmms.forEach(VmmClient::close);
    }
  }

  private static String describe(VmmTimings timings) {
    long start = timings.getSpecReceivedNs();
    return "spec received to created %.2f, first run %.2f, first exit %.2f, first byte %.2f ms"
        .formatted(
            (timings.getVmCreatedNs() - start) / 1e6,
            (timings.getFirstRunNs() - start) / 1e6,
            (timings.getFirstExitNs() - start) / 1e6,
            (timings.getFirstConsoleByteNs() - start) / 1e6);
  }

  private static String quantiles(List<Double> values) {
    List<Double> sorted = values.stream().sorted().toList();
    return "p50 %.2f, p99 %.2f"
        .formatted(sorted.get(sorted.size() / 2), sorted.get(sorted.size() * 99 / 100));
  }

  private static String meanPss(List<VmmClient> vmms) throws IOException {
    long pss = 0;
    long anonymous = 0;
    for (VmmClient vmm : vmms) {
      pss += vmm.memoryKib().getOrDefault("Pss:", 0L);
      anonymous += vmm.memoryKib().getOrDefault("Pss_Anon:", 0L);
    }
    return "%.2f (anonymous %.2f)"
        .formatted(pss / 1024.0 / vmms.size(), anonymous / 1024.0 / vmms.size());
  }
}

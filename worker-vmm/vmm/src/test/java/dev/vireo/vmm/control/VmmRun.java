package dev.vireo.vmm.control;

import dev.vireo.linux.Fd;
import dev.vireo.proto.vmm.v1.AnnouncementMode;
import dev.vireo.proto.vmm.v1.VmmInspection;
import dev.vireo.proto.vmm.v1.VmmResponse;
import dev.vireo.proto.vmm.v1.VmmStatus;
import dev.vireo.proto.vmm.v1.VmmTimings;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * Runs one guest in a packaged VMM and prints its console and what the VMM counted. For developers:
 *
 * <pre>{@code
 * java -cp <test class path> dev.vireo.vmm.control.VmmRun vmm=target/vmm kernel=vmlinuz \
 *   initramfs=initramfs disk=root.ext4 command_line="console=ttyS0" announcement=ACPI vcpus=2 \
 *   memory_mib=256 stop_at="vireo: idle" grace_ms=30000
 * }</pre>
 */
final class VmmRun {
  private VmmRun() {}

  @SuppressWarnings("SystemOut") // A program that prints.
  public static void main(String[] arguments) throws Exception {
    Map<String, String> options = new HashMap<>();
    for (String argument : arguments) {
      options.put(argument.replaceAll("=.*", ""), argument.replaceFirst("[^=]*=", ""));
    }
    Path home = Path.of(required(options, "vmm")).toAbsolutePath();
    try (Fd kvm = Fd.open("/dev/kvm", Fd.O_RDWR);
        VmmClient vmm = VmmClient.spawnPackaged(home, kvm);
        Fd kernel = Fd.open(required(options, "kernel"), Fd.O_RDONLY);
        Fd console = Fd.memory("console", 0);
        Fd exitRecord = Fd.memory("exit record", 0)) {
      System.out.println("VMM " + vmm.status().getStatus().getState().name());
      VmmClient.Create create = new VmmClient.Create(kvm, kernel, console, exitRecord);
      create.commandLine(options.getOrDefault("command_line", ""));
      create.announcement(
          switch (options.getOrDefault("announcement", "ACPI")) {
            case "ACPI" -> AnnouncementMode.ANNOUNCE_ACPI;
            case "CMDLINE" -> AnnouncementMode.ANNOUNCE_CMDLINE;
            case "FDT" -> AnnouncementMode.ANNOUNCE_FDT;
            default -> throw new IllegalArgumentException("no such announcement");
          });
      create
          .request()
          .setVcpus(Integer.parseInt(options.getOrDefault("vcpus", "1")))
          .setMemoryBytes(Long.parseLong(options.getOrDefault("memory_mib", "256")) << 20);
      create.readyMarker(options.getOrDefault("stop_at", ""));
      Fd initramfs = optional(options, "initramfs", Fd.O_RDONLY);
      if (initramfs != null) {
        create.initramfs(initramfs);
      }
      Fd disk = optional(options, "disk", Fd.O_RDWR);
      if (disk != null) {
        create.disk("disk0", disk);
      }
      VmmResponse response = vmm.create(create);
      if (!response.getErrorReason().isEmpty()) {
        System.out.println(
            response.getErrorReason()
                + " "
                + response.getErrorField()
                + ": "
                + response.getErrorMessage());
        return;
      }
      Thread.ofPlatform().daemon().start(() -> printAsItGrows(console));
      if (options.containsKey("stop_at")) {
        var _ = vmm.awaitStatus(VmmStatus::getConsoleReady);
        System.out.println("--- asked to stop");
        vmm.stop(Integer.parseInt(options.getOrDefault("grace_ms", "10000")));
      }
      VmmStatus end = vmm.awaitEnd();
      Thread.sleep(100); // the printer's turn
      System.out.println("--- " + end.getEndCause().name() + ": " + end.getEndMessage());
      print(vmm.inspect().getInspection());
      System.out.println("VMM's log:\n" + vmm.log());
    }
  }

  private static String required(Map<String, String> options, String name) {
    String value = options.get(name);
    if (value == null) {
      throw new IllegalArgumentException(name + "=… is missing");
    }
    return value;
  }

  private static @Nullable Fd optional(Map<String, String> options, String name, int flags) {
    String path = options.get(name);
    return path == null ? null : Fd.open(path, flags);
  }

  @SuppressWarnings("SystemOut")
  private static void printAsItGrows(Fd console) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment buffer = arena.allocate(4096);
      long offset = 0;
      while (true) {
        int count = console.read(buffer, offset);
        offset += count;
        System.out.write(buffer.asSlice(0, count).toArray(ValueLayout.JAVA_BYTE));
        System.out.flush();
        if (count == 0) {
          Thread.sleep(20);
        }
      }
    } catch (IOException | InterruptedException | IllegalStateException e) {
      // The console has been closed: the end.
    }
  }

  @SuppressWarnings("SystemOut")
  private static void print(VmmInspection inspection) {
    VmmTimings timings = inspection.getStatus().getTimings();
    long start = timings.getSpecReceivedNs();
    System.out.printf(
        "created %.1f, first run %.1f, first exit %.1f, first byte %.1f ms after the spec%n",
        (timings.getVmCreatedNs() - start) / 1e6,
        (timings.getFirstRunNs() - start) / 1e6,
        (timings.getFirstExitNs() - start) / 1e6,
        (timings.getFirstConsoleByteNs() - start) / 1e6);
    inspection.getExitsMap().forEach((cause, count) -> System.out.println(cause + " " + count));
    inspection.getDevicesList().forEach(device -> System.out.println(device.getCountersMap()));
  }
}

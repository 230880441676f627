package dev.vireo.bench;

import dev.vireo.bench.cluster.OwnedProcesses;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import org.jspecify.annotations.Nullable;

/**
 * QEMU's microvm machine with the probe guest, set up as well as we know how: KVM with its
 * interrupt controllers in the kernel, no legacy devices but the serial line, modern virtio-mmio,
 * an I/O thread, io_uring.
 */
final class QemuMicrovm {
  static final String PROGRAM = "qemu-system-x86_64";

  /** The back end's settings, for the report. Host cache on, as Vireo's. */
  static final String DISK_SETTINGS = "cache=writeback,aio=io_uring, one iothread";

  private static final int MEMORY_MIB = 128;
  private static final Duration PATIENCE = Duration.ofSeconds(30);

  private final Path probe;
  private final OwnedProcesses processes;
  private int started;

  QemuMicrovm(Path probe, OwnedProcesses processes) {
    this.probe = probe;
    this.processes = processes;
  }

  /** A running QEMU and the file that its guest's serial line goes to. */
  record Guest(Process process, Path console) {
    ProbeOutput output() throws IOException {
      return ProbeOutput.parse(Files.exists(console) ? Files.readString(console) : "");
    }
  }

  /** Runs a probe program to its end. */
  ProbeOutput run(String arguments, @Nullable Path disk) throws IOException, InterruptedException {
    Guest guest = start(arguments + " probe.end=crash", disk);
    try {
      if (!guest.process().waitFor(PATIENCE.toSeconds(), TimeUnit.SECONDS)) {
        throw new IOException(
            "QEMU did not end in time; its guest said:\n" + guest.output().text());
      }
      return guest.output().requirePassed();
    } finally {
      stop(guest);
    }
  }

  /** Starts an idle guest and waits until it has said so. */
  Guest startIdle() throws IOException {
    Guest guest = start("probe.run=idle", null);
    long deadline = System.nanoTime() + PATIENCE.toNanos();
    while (!guest.output().text().contains("probe: started")) {
      if (!guest.process().isAlive() || System.nanoTime() > deadline) {
        stop(guest);
        throw new IOException("QEMU's guest did not start: " + guest.output().text());
      }
      LockSupport.parkNanos(Duration.ofMillis(5).toNanos());
    }
    return guest;
  }

  void stop(Guest guest) throws IOException {
    guest.process().destroyForcibly().onExit().join();
    Files.deleteIfExists(guest.console());
  }

  private Guest start(String arguments, @Nullable Path disk) throws IOException {
    Path console = processes.directory().resolve("qemu-" + ++started + ".console");
    Process process =
        processes.start(
            Path.of("qemu.log"),
            Map.of("MALLOC_ARENA_MAX", "1"),
            command(arguments, disk, console));
    return new Guest(process, console);
  }

  private List<String> command(String arguments, @Nullable Path disk, Path console) {
    List<String> command = new ArrayList<>(List.of(PROGRAM));
    command.addAll(
        List.of(
            "-M",
            "microvm,pit=off,pic=off,rtc=off,acpi=off,auto-kernel-cmdline=on,x-option-roms=off"));
    command.addAll(List.of("-accel", "kvm", "-smp", "1", "-m", Integer.toString(MEMORY_MIB)));
    command.addAll(List.of("-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"));
    command.addAll(List.of("-global", "virtio-mmio.force-legacy=false"));
    command.addAll(List.of("-serial", "file:" + console));
    command.addAll(List.of("-kernel", probe.toString(), "-append", arguments));
    if (disk != null) {
      command.addAll(List.of("-object", "iothread,id=io"));
      command.addAll(
          List.of(
              "-drive",
              "if=none,id=disk0,file=" + disk + ",format=raw,cache=writeback,aio=io_uring"));
      command.addAll(List.of("-device", "virtio-blk-device,drive=disk0,serial=disk0,iothread=io"));
    }
    return command;
  }
}

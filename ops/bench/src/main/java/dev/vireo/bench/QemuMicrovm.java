package dev.vireo.bench;

import dev.vireo.bench.cluster.OwnedProcesses;
import dev.vireo.bench.cluster.Patience;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.concurrent.locks.LockSupport;

/**
 * QEMU's microvm machine with the probe guest, set up as well as we know how: KVM with its
 * interrupt controllers in the kernel, no legacy devices but the serial line, modern virtio-mmio,
 * an I/O thread, io_uring.
 */
final class QemuMicrovm implements ProbeMachine {
  static final String PROGRAM = "qemu-system-x86_64";

  /** The back end's settings, for the report. Host cache on, as Vireo's. */
  static final String DISK_SETTINGS = "cache=writeback,aio=io_uring, one iothread";

  /** QEMU has no vsock but the kernel's. */
  static final boolean HAS_VSOCK = Files.exists(Path.of("/dev/vhost-vsock"));

  private static final int FIRST_CID = 1_000_000;
  private static final int MEMORY_MIB = 128;

  /** What all of them have said themselves. */
  private static final Path LOG = Path.of("qemu.log");

  private static final Duration PATIENCE = Patience.ofSeconds(30);
  private static final Duration BETWEEN_LOOKS = Duration.ofMillis(5);

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

  @Override
  public Finished run(GuestSetup setup) throws IOException {
    Guest guest = start(setup.with("probe.end=halt"));
    try {
      double before = ProcessTime.cpuSeconds(guest.process().pid());
      awaitText(guest, "probe: passed", "probe: failed");
      double cpuSeconds = ProcessTime.cpuSeconds(guest.process().pid()) - before;
      return new Finished(guest.output().requirePassed(), cpuSeconds, Double.NaN, Double.NaN);
    } finally {
      stop(guest);
    }
  }

  /** Starts a guest and waits until it has said so. */
  Guest start(GuestSetup setup) throws IOException {
    Guest guest = launch(setup);
    try {
      awaitText(guest, "probe: started");
      return guest;
    } catch (IOException e) {
      stop(guest);
      throw e;
    }
  }

  private void awaitText(Guest guest, String... any) throws IOException {
    long deadline = System.nanoTime() + PATIENCE.toNanos();
    while (Arrays.stream(any).noneMatch(guest.output().text()::contains)) {
      if (!guest.process().isAlive() || System.nanoTime() > deadline) {
        throw new IOException(
            "QEMU %s: %s%nIts guest said: %s"
                .formatted(
                    guest.process().isAlive() ? "does not get on" : "has ended",
                    Files.readString(processes.directory().resolve(LOG)).strip(),
                    guest.output().text()));
      }
      LockSupport.parkNanos(BETWEEN_LOOKS.toNanos());
    }
  }

  void stop(Guest guest) throws IOException {
    guest.process().destroyForcibly().onExit().join();
    Files.deleteIfExists(guest.console());
    Files.deleteIfExists(Path.of(socketBeside(guest.console())));
  }

  /** Where a client of the guest's virtio console connects. */
  private static String socketBeside(Path console) {
    return console + ".sock";
  }

  private Guest launch(GuestSetup setup) throws IOException {
    Path console = processes.directory().resolve("qemu-" + ++started + ".console");
    Process process =
        processes.start(LOG, Map.of("MALLOC_ARENA_MAX", "1"), command(setup, console));
    return new Guest(process, console);
  }

  private List<String> command(GuestSetup setup, Path console) {
    List<String> command = new ArrayList<>(List.of(PROGRAM));
    command.addAll(
        List.of(
            "-M",
            "microvm,pit=off,pic=off,rtc=off,acpi=off,auto-kernel-cmdline=on,x-option-roms=off"));
    command.addAll(List.of("-accel", "kvm", "-smp", "1", "-m", Integer.toString(MEMORY_MIB)));
    command.addAll(List.of("-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"));
    command.addAll(List.of("-global", "virtio-mmio.force-legacy=false"));
    command.addAll(List.of("-serial", "file:" + console));
    command.addAll(List.of("-kernel", probe.toString(), "-append", setup.arguments()));
    if (setup.disk() != null) {
      command.addAll(List.of("-object", "iothread,id=io"));
      command.addAll(
          List.of(
              "-drive",
              "if=none,id=disk0,file="
                  + setup.disk()
                  + ",format=raw,cache=writeback,aio=io_uring"));
      command.addAll(List.of("-device", "virtio-blk-device,drive=disk0,serial=disk0,iothread=io"));
    }
    if (setup.tap() != null) {
      command.addAll(
          List.of(
              "-netdev",
              "tap,id=net0,ifname=" + setup.tap() + ",script=no,downscript=no,vhost=off"));
      command.addAll(List.of("-device", "virtio-net-device,netdev=net0"));
    }
    for (GuestSetup.Device device : setup.more()) {
      command.addAll(
          switch (device) {
            case VSOCK ->
                HAS_VSOCK
                    ? List.of("-device", "vhost-vsock-device,guest-cid=" + (FIRST_CID + started))
                    : List.of();
            case ENTROPY -> List.of("-device", "virtio-rng-device");
            case CONSOLE ->
                List.of(
                    "-chardev",
                    "socket,id=hvc0,server=on,wait=off,path=" + socketBeside(console),
                    "-device",
                    "virtio-serial-device",
                    "-device",
                    "virtconsole,chardev=hvc0");
            case BALLOON -> List.of("-device", "virtio-balloon-device");
          });
    }
    return command;
  }
}

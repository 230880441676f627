package dev.vireo.cli.demo;

import dev.vireo.cli.Api;
import dev.vireo.cli.Cleanup;
import dev.vireo.cli.Environment;
import dev.vireo.cli.ExitCode;
import dev.vireo.cli.InspectionView;
import dev.vireo.cli.Text;
import dev.vireo.cli.local.LocalVireo;
import dev.vireo.cli.local.NetworkKind;
import dev.vireo.cli.local.Progress;
import dev.vireo.proto.v1.Boot;
import dev.vireo.proto.v1.DeviceInspection;
import dev.vireo.proto.v1.Disk;
import dev.vireo.proto.v1.Inspection;
import dev.vireo.proto.v1.MicroVmSpec;
import dev.vireo.proto.v1.Node;
import dev.vireo.proto.v1.QueueInspection;
import java.io.IOException;
import java.io.PrintStream;
import java.io.RandomAccessFile;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.Callable;
import java.util.concurrent.locks.LockSupport;
import picocli.CommandLine.Command;

/**
 * {@code vireo demo}: a controller and nodes of its own in a directory of its own; a bare-metal
 * guest on this machine's KVM, for real numbers; an unmodified Debian guest where one can run;
 * nothing left.
 */
@Command(
    name = "demo",
    description = "Shows the whole of it on this machine, in about a minute, and leaves nothing.")
public final class DemoCommand implements Callable<Integer> {
  private static final String EMULATED_NODE = "emulated-1";
  private static final int POOL_SIZE = 4;
  private static final int QUICK_GUESTS = 11;

  /** What a worker needs to pre-start another VMM. */
  private static final Duration BETWEEN_QUICK_GUESTS = Duration.ofMillis(300);

  private static final long SCRATCH_DISK_BYTES = 64L << 20;
  private static final Duration PROBE_TIMEOUT = Duration.ofSeconds(30);
  private static final Duration DEBIAN_TIMEOUT = Duration.ofMinutes(3);

  private final Environment environment;
  private final Path sourceTree;
  private final PrintStream out;
  private final long startNanos = System.nanoTime();

  public DemoCommand(Environment environment, Path sourceTree) {
    this.environment = environment;
    this.sourceTree = sourceTree;
    this.out = environment.out();
  }

  @Override
  public Integer call() throws IOException {
    Cleanup cleanup = new Cleanup();
    try (cleanup) {
      PrivateDirectory directory = PrivateDirectory.create();
      cleanup.add(directory::close);
      LocalVireo vireo =
          new LocalVireo(
              environment, directory.path(), sourceTree, new Progress(environment.err()));
      cleanup.add(vireo::close);
      cleanup.add(vireo::down);
      show(vireo, directory.path());
      vireo.down();
      vireo.requireNothingLeft();
    } catch (IOException | RuntimeException e) {
      // Interrupted: whatever went wrong then, it did because the ground was taken away.
      if (cleanup.isInterrupted()) {
        return ExitCode.INTERRUPTED;
      }
      throw e;
    }
    whatNext();
    return ExitCode.OK;
  }

  private void show(LocalVireo vireo, Path directory) throws IOException {
    vireo.startController(new LocalVireo.Ports(freePort(), freePort()));
    boolean kvm = LocalVireo.canUseKvm();
    if (kvm) {
      vireo.startWorker(POOL_SIZE, NetworkKind.HOST, Optional.empty());
      vireo.awaitWarmVmms(POOL_SIZE);
    }
    try (Api api = vireo.connect()) {
      boolean linuxHere = kvm && runsLinuxGuests(api);
      if (!linuxHere) {
        vireo.launchEmulatedNode(EMULATED_NODE, "x86_64", Map.of());
      }
      if (kvm) {
        showProbe(api, directory);
      } else {
        heading("No bare-metal guest here: /dev/kvm cannot be used (./vireo doctor says more)");
      }
      if (!linuxHere) {
        vireo.awaitEmulatedNode(EMULATED_NODE);
      }
      showDebian(api, linuxHere ? LocalVireo.LOCAL_NODE : EMULATED_NODE);
    }
  }

  private static boolean runsLinuxGuests(Api api) {
    return api.listNodes().stream()
        .map(Node::getStatus)
        .anyMatch(status -> status.getCapabilities().getRunsLinuxGuests());
  }

  private void showProbe(Api api, Path directory) throws IOException {
    heading("A bare-metal guest on this machine's own KVM: 4 KiB reads from a virtio-blk disk");
    Path disk = directory.resolve("scratch.raw");
    try (RandomAccessFile file = new RandomAccessFile(disk.toFile(), "rw")) {
      file.setLength(SCRATCH_DISK_BYTES);
    }
    DemoGuest guest = new DemoGuest(api, environment);
    showWork(
        guest.show(
            "probe",
            spec("probe", 128, "probe.run=blk-read probe.ops=20000 probe.end=halt")
                .addDisks(Disk.newBuilder().setId("scratch").setSource(disk.toString()))
                .build(),
            "probe: passed",
            PROBE_TIMEOUT));
    long[] nanos = new long[QUICK_GUESTS];
    for (int i = 0; i < QUICK_GUESTS; i++) {
      LockSupport.parkNanos(BETWEEN_QUICK_GUESTS.toNanos());
      nanos[i] =
          guest.nanosToFirstInstruction("quick-" + i, spec("probe", 128, "probe.end=halt").build());
    }
    Arrays.sort(nanos);
    out.println();
    out.println(
        "From the create call to the guest's first instruction, median of %d: %s"
            .formatted(QUICK_GUESTS, Text.milliseconds(nanos[QUICK_GUESTS / 2])));
    out.flush();
  }

  private void showDebian(Api api, String node) {
    heading(
        "An unmodified Debian kernel on node %s, its root on a virtio-blk disk".formatted(node));
    showWork(
        new DemoGuest(api, environment)
            .show(
                "debian",
                spec("debian-12", 256, "vireo.run=io:256,idle")
                    .addDisks(Disk.newBuilder().setId("root").setSource("image:"))
                    .build(),
                "vireo: idle",
                DEBIAN_TIMEOUT));
  }

  /** The device table, and what each I/O cost. */
  private void showWork(Inspection inspection) {
    InspectionView.printDevices(inspection.getDevicesList(), out);
    for (DeviceInspection device : inspection.getDevicesList()) {
      long requests = device.getQueuesList().stream().mapToLong(QueueInspection::getRequests).sum();
      long notifications =
          inspection.getExitsOrDefault("mmio." + device.getId() + ".queue_notify", 0);
      out.println();
      out.println(
          String.format(
              Locale.ROOT,
              "Exits to user space per I/O of %s: %.3f, of them for notifications: %.3f",
              device.getId(),
              device.getExitsPerIo(),
              (double) notifications / Math.max(1, requests)));
    }
    out.flush();
  }

  private static MicroVmSpec.Builder spec(String kernel, int memoryMib, String commandLine) {
    return MicroVmSpec.newBuilder()
        .setVcpus(1)
        .setMemoryMib(memoryMib)
        .setBoot(Boot.newBuilder().setKernel(kernel).setCommandLine(commandLine));
  }

  private void heading(String text) {
    out.println();
    out.println("== " + text);
    out.flush();
  }

  private void whatNext() {
    out.println(
        """

        All of it is gone again: every process, file and port. It took %d s. Next:
          ./vireo up                     a controller and a worker that stay
          ./vireo node add --emulated    a node for Linux guests, where this machine cannot run them
          ./vireo run --rm               a Debian guest, its console here
          ./vireo bench --quick          beside QEMU's microvm, with the same guest
          ./vireo help                   the rest\
        """
            .formatted(Duration.ofNanos(System.nanoTime() - startNanos).toSeconds()));
  }

  private static int freePort() throws IOException {
    try (ServerSocket socket = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
      return socket.getLocalPort();
    }
  }
}

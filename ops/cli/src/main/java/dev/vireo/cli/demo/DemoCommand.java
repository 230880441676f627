package dev.vireo.cli.demo;

import dev.vireo.cli.Api;
import dev.vireo.cli.Cleanup;
import dev.vireo.cli.CommandException;
import dev.vireo.cli.Environment;
import dev.vireo.cli.ExitCode;
import dev.vireo.cli.InspectionView;
import dev.vireo.cli.Text;
import dev.vireo.cli.demo.DemoGuest.Story;
import dev.vireo.cli.local.LocalVireo;
import dev.vireo.cli.local.Progress;
import dev.vireo.proto.v1.Boot;
import dev.vireo.proto.v1.BootTimings;
import dev.vireo.proto.v1.DeviceInspection;
import dev.vireo.proto.v1.Disk;
import dev.vireo.proto.v1.MicroVmSpec;
import dev.vireo.proto.v1.Node;
import java.io.IOException;
import java.io.PrintStream;
import java.io.RandomAccessFile;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.Callable;
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
  private static final int POOL_SIZE = 2;
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
    } catch (CommandException | io.grpc.StatusRuntimeException e) {
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
      vireo.startWorker(POOL_SIZE);
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
    Story story =
        guest(api)
            .tell(
                "probe",
                spec("probe", 128, "probe.run=blk-read probe.ops=20000 probe.end=halt")
                    .addDisks(Disk.newBuilder().setId("scratch").setSource(disk.toString()))
                    .build(),
                "probe: passed",
                PROBE_TIMEOUT);
    BootTimings timings = story.inspection().getInspection().getTimings();
    out.println();
    line("create call to first instruction", since(story, timings.getFirstExitNs()));
    line("create call to first console byte", since(story, timings.getFirstConsoleByteNs()));
    showDevices(story);
  }

  private void showDebian(Api api, String node) {
    heading(
        "An unmodified Debian kernel on node %s, its root on a virtio-blk disk".formatted(node));
    Story story =
        guest(api)
            .tell(
                "debian",
                spec("debian-12", 256, "vireo.run=io:256,idle")
                    .addDisks(Disk.newBuilder().setId("root").setSource("image:"))
                    .build(),
                "vireo: idle",
                DEBIAN_TIMEOUT);
    out.println();
    line("create call to user space's last word", "");
    showDevices(story);
  }

  private void showDevices(Story story) {
    InspectionView.printDevices(story.inspection().getInspection().getDevicesList(), out);
    out.println();
    for (DeviceInspection device : story.inspection().getInspection().getDevicesList()) {
      line(
          "exits to user space per I/O of " + device.getId(),
          String.format(Locale.ROOT, "%.3f", device.getExitsPerIo()));
    }
    out.flush();
  }

  private DemoGuest guest(Api api) {
    return new DemoGuest(api, out, environment.err());
  }

  private static MicroVmSpec.Builder spec(String kernel, int memoryMib, String commandLine) {
    return MicroVmSpec.newBuilder()
        .setVcpus(1)
        .setMemoryMib(memoryMib)
        .setBoot(Boot.newBuilder().setKernel(kernel).setCommandLine(commandLine));
  }

  private static String since(Story story, long nanos) {
    return Text.milliseconds(nanos - story.createCallNanos());
  }

  private void heading(String text) {
    out.println();
    out.println("== " + text);
    out.flush();
  }

  private void line(String what, String value) {
    out.println("%-40s %s".formatted(what, value));
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

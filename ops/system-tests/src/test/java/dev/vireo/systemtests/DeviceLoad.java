package dev.vireo.systemtests;

import static dev.vireo.systemtests.LinuxGuests.assertLine;
import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.vireo.proto.v1.Architecture;
import dev.vireo.proto.v1.DeviceInspection;
import dev.vireo.proto.v1.Inspection;
import dev.vireo.proto.v1.Lifecycle.RestartPolicy;
import dev.vireo.proto.v1.MicroVmSpec;
import dev.vireo.proto.v1.MicroVmStatus;
import dev.vireo.proto.v1.Termination.Cause;
import java.io.IOException;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/**
 * A Debian guest of two vCPUs with one device of every kind, all of which work at once; every byte
 * is looked at. Then the guest reboots, and powers off. The story is the same for each
 * architecture.
 */
abstract class DeviceLoad {
  private static final String NAME = "laden";
  private static final String DISK = "/var/lib/laden.raw";
  private static final String STREAMS = LinuxCluster.TOOLS + "/bin/streams";
  private static final long MEMORY_MIB = 384;
  private static final long PLUGGED_MIB = 128;
  private static final long BALLOON_MIB = 64;

  /** Not to take the guest's time. */
  private static final Duration BETWEEN_LOOKS = Duration.ofSeconds(2);

  /** The order of slots. */
  private static final List<String> DRIVERS =
      List.of(
          "virtio_blk",
          "virtio_blk",
          "virtio_net",
          "vmw_vsock_virtio_transport",
          "virtio_rng",
          "virtio_balloon",
          "virtio_console",
          "virtio_mem");

  /** What the guest does when it has booted first, until it is told to reboot, and then. */
  private static final String GUEST =
      """
      job() {
        name=$1
        shift
        "$@" > /run/$name 2>&1 && echo "load: $name done" || echo "load: $name failed"
        tail -n 6 /run/$name
      }
      random() {
        bytes=$(dd if=/dev/hwrng bs=4k count=$1 iflag=fullblock | wc -c)
        [ "$bytes" = $(($1 * 4096)) ]
      }
      checksum() {
        echo "load: disk $(dd if=/dev/vdb bs=1M iflag=direct 2> /run/dd | md5sum)"
      }
      half() {
        fio --name="$1" --offset="$1"m --size="$half"m --filename=/dev/vdb --direct=1 --ioengine=libaio --iodepth=16 \\
          --rw=randwrite --bsrange=4k-64k --verify=crc32c --verify_fatal=1
      }
      from_guest() {
        until streams connect vsock 2 1001 1 1 1 2> /dev/null; do sleep 1; done
        streams connect vsock 2 1001 $streams
      }
      read -r boots < /var/lib/boots
      if [ "$boots" = 1 ]; then
        ip address add 192.0.2.2/24 dev eth0
        ip link set eth0 up
        streams serve vsock 1000 > /run/vsock-server &
        streams serve tcp 1000 > /run/tcp-server &
        iperf3 -s -p 5201 > /run/iperf-server &
        iperf3 -s -p 5202 > /run/iperf-server-2 &
        until grep -q listening /run/vsock-server && grep -q listening /run/tcp-server &&
          [ "$(cat /proc/net/tcp* | grep -c ':145[12] ')" = 2 ]; do
          sleep 1
        done
        echo "load: begins"
        job fio0 half 0 &
        jobs=$!
        job fio1 half "$half" &
        jobs="$jobs $!"
        job random random "$blocks" &
        jobs="$jobs $!"
        job vsock from_guest &
        wait $jobs $!
        checksum
        until [ -e /run/reboot ]; do sleep 1; done
        reboot -f
      fi
      checksum
      """;

  /** What the node does meanwhile. */
  private static final String NODE =
      """
      mkdir -p /tmp/load && cd /tmp/load || exit 1
      job() {
        name=$1
        shift
        "$@" > $name 2>&1 && echo "load: $name done" || echo "load: $name failed"
        tail -n 6 $name
      }
      iperf() {
        timeout "$seconds" chroot "$tools" iperf3 -c 192.0.2.2 -n "$each" "$@"
      }
      lines() {
        type_and_wait
        tr -d '\\r' < shown | grep '^[0-9][0-9]*$' > come
        seq 1 "$lines" | cmp - come
      }
      ip address add 192.0.2.1/24 dev "$tap" && ip link set "$tap" up || exit 1
      # Three seconds are too few for a busy emulated guest to say who it is.
      echo "$seconds" > /proc/sys/net/ipv4/neigh/$tap/mcast_solicit
      PATH=$tools/bin:$PATH
      job net timeout "$seconds" streams connect tcp 192.0.2.2 1000 1 1 "$bytes" &
      job iperf-to-guest iperf -p 5201 &
      job iperf-from-guest iperf -p 5202 -R &
      job vsock timeout "$seconds" streams connect hybrid "$vsock" 1000 $vsock_streams &
      job pipe timeout "$seconds" streams connect unix "$pipe" $pipe_streams &
      job console lines &
      wait
      rm -r /tmp/load
      """;

  private final Scale scale = Scale.of(architecture());
  private final ExecutorService nodesWork = Executors.newSingleThreadExecutor();

  abstract LinuxCluster cluster();

  abstract Architecture architecture();

  /**
   * How much work.
   *
   * @param fioMib of each half of the disk
   * @param netBytes there and back
   * @param iperfMib each way
   * @param vsockStreams connections each way, of them at once, bytes there and back on each
   * @param pipeStreams the same of the console's pipe
   * @param randomBlocks of 4 KiB
   * @param patience for any one thing
   */
  private record Scale(
      int fioMib,
      long netBytes,
      int iperfMib,
      String vsockStreams,
      String pipeStreams,
      int randomBlocks,
      int consoleLines,
      Duration patience) {
    static final Scale SMALL =
        new Scale(4, 2_000_000, 1, "100 20 20000", "3 1 100000", 32, 1000, LinuxCluster.PATIENCE);

    /** A tenth of the speed, or less. */
    static final Scale SMALL_ARM64 =
        new Scale(4, 500_000, 1, "20 5 20000", "3 1 50000", 32, 500, LinuxCluster.PATIENCE);

    static final Scale FULL =
        new Scale(
            128,
            1L << 30,
            256,
            "4000 500 20000",
            "20 1 1000000",
            2560,
            20_000,
            Duration.ofHours(1));

    /** The full one by {@code ./vireo test --full}. */
    static Scale of(Architecture architecture) {
      if (Boolean.getBoolean("vireo.test.full")) {
        return FULL;
      }
      return architecture == Architecture.ARM64 ? SMALL_ARM64 : SMALL;
    }
  }

  @BeforeEach
  void theNodeHasToolsAndADisk() throws IOException {
    cluster().mountTools(architecture());
    onNode("truncate -s %dM %s".formatted(2 * scale.fioMib(), DISK));
  }

  @AfterEach
  void theNodeHasNeither() throws IOException {
    nodesWork.shutdown();
    onNode("rm -f %s".formatted(DISK));
  }

  @Test
  void everyDeviceWorksWhileAllOthersDoAndTheGuestRebootsAndPowersOff() throws Exception {
    guests().start(NAME, guest());
    awaitConsole("load: begins");
    assertDrivers();
    String process = onNode(listener() + " > /dev/null & echo $!");

    Future<String> work = nodesWork.submit(this::doNodesPart);
    resizeMemoryUntilDone(work);
    String nodes = work.get();
    awaitConsole("load: disk ");
    onNode("kill " + process.strip());

    String console = guests().console(NAME);
    System.out.println(nodes + console); // How fast it was, for people.
    for (String part :
        List.of("net", "iperf-to-guest", "iperf-from-guest", "vsock", "pipe", "console")) {
      assertLine(nodes, "load: %s done".formatted(part));
    }
    for (String part : List.of("fio0", "fio1", "random", "vsock")) {
      assertLine(console, "load: %s done".formatted(part));
    }
    assertSound(guests().inspect(NAME));

    String checksum = wordAfter(console, "load: disk ");
    assertTrue(onNode("md5sum < " + DISK).startsWith(checksum), "the disk's " + checksum);
    shell().answer("touch /run/reboot; ls /run/reboot");
    awaitConsole("boot 2 from it");
    await("the same bytes after the reboot")
        .atMost(scale.patience())
        .pollInterval(BETWEEN_LOOKS)
        .until(() -> guests().console(NAME).split("load: disk " + checksum, -1).length == 3);
    assertEquals(Cause.GUEST_RESET, guests().status(NAME).getTermination().getCause());
    awaitConsole("vireo: idle");

    guests().stop(NAME);

    assertEquals(Cause.STOPPED_BY_REQUEST, guests().awaitEnd(NAME).getCause());
    assertLine(guests().console(NAME), "vireo: poweroff");
  }

  private MicroVmSpec.Builder guest() throws IOException {
    String script =
        LinuxGuests.compressed(
            """
            half=%d blocks=%d streams='%s'
            """
                    .formatted(scale.fioMib(), scale.randomBlocks(), scale.vsockStreams())
                + GUEST);
    String steps = "shell,echo:org.example.agent,sh:%s,idle".formatted(script);
    MicroVmSpec.Builder spec =
        LinuxGuests.withTools(architecture(), steps).setVcpus(2).setMemoryMib(MEMORY_MIB);
    spec.addDisksBuilder().setId("data").setSource(DISK).setDirect(true).setQueues(2);
    spec.addNetworksBuilder().setId("lan").setQueuePairs(2);
    spec.getVsockBuilder();
    spec.getEntropyBuilder();
    spec.getBalloonBuilder();
    spec.getVirtioConsoleBuilder().addPortsBuilder().setName("hvc0").setConsole(true);
    spec.getVirtioConsoleBuilder().addPortsBuilder().setName("org.example.agent");
    spec.getMemoryHotplugBuilder().setMaximumMib(PLUGGED_MIB);
    spec.getLifecycleBuilder().setRestartPolicy(RestartPolicy.ON_FAILURE);
    return spec;
  }

  private void assertDrivers() {
    String console = guests().console(NAME);
    assertLine(console, "vireo: cpus 0-1, .*");
    for (int i = 0; i < DRIVERS.size(); i++) {
      assertLine(console, "vireo: virtio%d +%s .*".formatted(i, DRIVERS.get(i)));
    }
  }

  /** For the guest's connections to its host. */
  private String listener() {
    return "%s serve unix %s_1001".formatted(STREAMS, status().getVsock().getSocket());
  }

  private String nodesPart() {
    String numbers = "seq 1 %d; echo \"end\" \"of lines\"".formatted(scale.consoleLines());
    return """
    tools=%s tap=%s
    bytes=%d each=%dM
    vsock=%s vsock_streams='%s'
    pipe=%s pipe_streams='%s'
    lines=%d seconds=%d
    type_and_wait() {
    %s
    }
    """
            .formatted(
                LinuxCluster.TOOLS,
                device(2).getAttributesOrThrow("tap"),
                scale.netBytes(),
                scale.iperfMib(),
                status().getVsock().getSocket(),
                scale.vsockStreams(),
                status().getConsolePorts(1).getSocket(),
                scale.pipeStreams(),
                scale.consoleLines(),
                scale.patience().toSeconds(),
                GuestShell.typing(shell().socket(), numbers, "end of lines", scale.patience()))
        + NODE;
  }

  private GuestShell shell() {
    return new GuestShell(cluster(), architecture(), status().getConsolePorts(0).getSocket());
  }

  /** Memory is plugged, the balloon goes up and down, and what was plugged is unplugged. */
  private void resizeMemoryUntilDone(Future<?> work) {
    guests().setMemory(NAME, MEMORY_MIB + PLUGGED_MIB);
    do {
      guests().setBalloon(NAME, BALLOON_MIB);
      awaitGauge(5, "actual_bytes", BALLOON_MIB);
      guests().setBalloon(NAME, 0);
      awaitGauge(5, "actual_bytes", 0);
    } while (!work.isDone());
    awaitGauge(7, "plugged_bytes", PLUGGED_MIB);
    guests().setMemory(NAME, MEMORY_MIB);
    awaitGauge(7, "plugged_bytes", 0);
  }

  private void awaitGauge(int device, String gauge, long mib) {
    await("%s of %d MiB".formatted(gauge, mib))
        .atMost(scale.patience())
        .pollInterval(BETWEEN_LOOKS)
        .until(() -> device(device).getGaugesOrThrow(gauge) == mib << 20);
  }

  /** No device has seen anything illegal, and each has moved what it was to move. */
  private void assertSound(Inspection inspection) {
    for (DeviceInspection device : inspection.getDevicesList()) {
      assertEquals(0, device.getStatus() & 0xc0, () -> "NEEDS_RESET or FAILED: " + device);
      assertTrue(
          device.getCountersMap().keySet().stream().noneMatch(DeviceLoad::isDefect),
          device::toString);
    }
    assertTrue(
        inspection.getExitsMap().keySet().stream().noneMatch(cause -> cause.contains("notify")),
        "a notification exits to user space: " + inspection.getExitsMap());
  }

  /** Counters begin with what was counted. */
  private static boolean isDefect(String counter) {
    return counter.startsWith("errors");
  }

  private static String wordAfter(String console, String text) {
    int start = console.indexOf(text) + text.length();
    return console.substring(start, start + 32);
  }

  private void awaitConsole(String text) {
    await(text)
        .atMost(scale.patience())
        .pollInterval(BETWEEN_LOOKS)
        .until(() -> guests().console(NAME).contains(text));
  }

  private DeviceInspection device(int index) {
    return guests().inspect(NAME).getDevices(index);
  }

  private MicroVmStatus status() {
    return guests().status(NAME);
  }

  private LinuxGuests guests() {
    return cluster().guests();
  }

  private String doNodesPart() throws IOException {
    return cluster().askNode(architecture(), nodesPart(), scale.patience().multipliedBy(3));
  }

  private String onNode(String command) throws IOException {
    return cluster().askNode(architecture(), command);
  }
}

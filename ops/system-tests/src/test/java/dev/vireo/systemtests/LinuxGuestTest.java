package dev.vireo.systemtests;

import static dev.vireo.systemtests.LinuxGuests.assertLine;
import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.vireo.proto.v1.Architecture;
import dev.vireo.proto.v1.DeviceInspection;
import dev.vireo.proto.v1.Inspection;
import dev.vireo.proto.v1.Lifecycle.RestartPolicy;
import dev.vireo.proto.v1.MicroVm;
import dev.vireo.proto.v1.MicroVmSpec;
import dev.vireo.proto.v1.MicroVmState;
import dev.vireo.proto.v1.QueueInspection;
import dev.vireo.proto.v1.RegisterPageMode;
import dev.vireo.proto.v1.Termination.Cause;
import dev.vireo.proto.v1.VcpuInspection;
import dev.vireo.proto.v1.VirtioConsole;
import java.io.IOException;
import java.time.Duration;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * Debian's own x86-64 kernel in microVMs: what it sees, what is seen of it, and the ways it ends.
 */
@Tag("linux")
class LinuxGuestTest {
  /** A guest that has got more than 700 MiB uses more of them, once, than it began with. */
  private static final String TELL_AND_USE_MEMORY =
      """
      while :; do
        while read -r key total unit && [ "$key" != MemTotal: ]; do :; done < /proc/meminfo
        total=$((total / 1024))
        [ "$total" = "$before" ] || echo "memory: $total MiB"
        before=$total
        if [ "$total" -gt 700 ] && [ ! -e /run/dd ]; then
          mount -t tmpfs -o size=400M tmpfs /tmp &&
            dd if=/dev/zero of=/tmp/fill bs=1M count=350 2> /run/dd && echo "memory: used"
          rm /tmp/fill
        fi
        sleep 1
      done
      """;

  /** Past the page cache, in requests of 4 KiB. */
  private static final String READ_EACH_SECOND =
      """
      while dd if=/dev/vda of=/dev/null bs=4k count=8 iflag=direct 2> /run/dd; do
        sleep 1
      done &
      """;

  @RegisterExtension
  static final LinuxClusterExtension CLUSTER = new LinuxClusterExtension(Architecture.X86_64);

  private final LinuxGuests guests = CLUSTER.cluster().guests();

  @Test
  void aGuestBootsFromItsDiskAndPowersItselfOff() {
    MicroVm created = guests.start("debian", LinuxGuests.debian("io:64"));

    assertEquals(
        "nodes/" + LinuxCluster.nameOf(Architecture.X86_64), created.getStatus().getNode());
    assertEquals(Cause.GUEST_POWER_OFF, guests.awaitEnd("debian").getCause());
    assertEquals(MicroVmState.STOPPED, guests.status("debian").getState());
    String console = guests.console("debian");
    assertLine(console, "vireo: user space of Linux 6\\.1\\..*-cloud-amd64 .* Debian .*");
    assertLine(console, "vireo: cpus 0, memory \\d+ of 2\\d\\d MiB available");
    assertLine(console, "vireo: disk /dev/vda mounted on / as ext4 rw, 16 MiB, boot 1 from it");
    assertLine(console, "vireo: read 64 blocks of 4 KiB");
    assertLine(console, "vireo: poweroff");
    int middle = console.indexOf("vireo: disk");
    // A carriage return before each line feed was left out above.
    long offset = middle + console.substring(0, middle).lines().count();
    assertTrue(guests.console("debian", offset).startsWith("vireo: disk"), "logs from an offset");
  }

  @Test
  void guestAndVmmAgreeOnDevicesAndVcpus() {
    MicroVmSpec.Builder spec = LinuxGuests.debian("io:64,idle").setVcpus(2);
    guests.start("pair", spec);
    guests.awaitConsole("pair", "vireo: idle");

    Inspection inspection = guests.inspect("pair");
    DeviceInspection disk = inspection.getDevices(0);

    assertLine(guests.console("pair"), "vireo: cpus 0-1, .*");
    assertLine(
        guests.console("pair"),
        "vireo: virtio0 +virtio_blk +%08x-%08x +%d edge"
            .formatted(
                disk.getMmioBase(), disk.getMmioBase() + disk.getMmioSize() - 1, disk.getGsi()));
    assertEquals(2, inspection.getVcpusCount());
    assertTrue(
        inspection.getVcpusList().stream().map(VcpuInspection::getExits).allMatch(n -> n > 0));
    assertEquals("blk", disk.getModel());
    assertEquals("acpi", inspection.getAnnouncement());
    assertTrue(disk.getQueues(0).getRequests() >= 64, disk::toString);
    assertTrue(disk.getQueues(0).getNotifications() >= 64, disk::toString);
    assertTrue(
        inspection.getExitsMap().keySet().stream().noneMatch(cause -> cause.contains("notify")),
        "a notification exits to user space: " + inspection.getExitsMap());
  }

  /** What an interrupt costs: nothing, its acknowledgement, or the look at its status besides. */
  @ParameterizedTest
  @CsvSource({"REGISTER_PAGE_LAZY, 0", "REGISTER_PAGE_STRICT, 1", "REGISTER_PAGE_CLASSIC, 2"})
  void anInterruptCostsTheGuestAsManyExitsAsItsModeSays(RegisterPageMode mode, int exits) {
    String name = mode.name().toLowerCase(Locale.ROOT).replace('_', '-');
    MicroVmSpec.Builder spec = LinuxGuests.debian("io:2000,idle");
    spec.getVmmBuilder().setRegisterPage(mode);
    guests.start(name, spec);
    guests.awaitConsole(name, "vireo: read 2000 blocks of 4 KiB");
    guests.awaitConsole(name, "vireo: idle");

    DeviceInspection disk = guests.inspect(name).getDevices(0);
    QueueInspection queue = disk.getQueues(0);
    assertEquals(mode, disk.getRegisterPage());
    assertTrue(queue.getRequests() >= 2000, disk::toString);
    double exitsPerInterrupt = disk.getExitsPerIo() * queue.getRequests() / queue.getInterrupts();
    assertEquals(exits, exitsPerInterrupt, 0.05, disk::toString);
  }

  @Test
  void theNodesRandomNumbersReachTheGuest() {
    MicroVmSpec.Builder spec = LinuxGuests.debian("rng:10000,idle");
    spec.getEntropyBuilder();
    guests.start("random", spec);
    guests.awaitConsole("random", "vireo: idle");

    String console = guests.console("random");
    assertLine(console, "vireo: virtio1 +virtio_rng .* edge");
    // One of 256 is zero; sixteen times as many are not random.
    assertLine(console, "vireo: read 10000 bytes from virtio_rng.0, 9[4-9]\\d\\d of them not zero");
    DeviceInspection rng = guests.inspect("random").getDevices(1);
    assertEquals("rng/host", rng.getBackEnd());
    assertTrue(rng.getCountersOrDefault("bytes", 0) >= 10_000, rng::toString);
  }

  @Test
  void aTraceShowsTheIoOfALiveGuestAndEndsWithItOrWithItsController() throws Exception {
    String script = LinuxGuests.compressed(READ_EACH_SECOND);
    guests.start("traced", LinuxGuests.debian("sh:%s,idle".formatted(script)));
    Vireo vireo = CLUSTER.cluster().vireo();

    Vireo.Result some = vireo.run("trace", "traced", "--io", "--device", "root", "--limit", "9");
    assertEquals(0, some.exitCode(), some::err);
    assertEquals(9, some.out().lines().count(), some::out);
    String read = " +\\d+\\.\\d{6} +[0-9.]+ [mu]?s  root/0 +read  4\\.0 KiB at 0x[0-7]000";
    assertTrue(some.out().lines().anyMatch(line -> line.matches(read)), some::out);

    CompletableFuture<Vireo.Result> cut = traceUntilItsEnd(vireo);
    CLUSTER.cluster().killController();
    assertEquals(7, cut.get(1, TimeUnit.MINUTES).exitCode(), cut.join()::err);
    assertTrue(cut.join().err().contains("error: the controller "), cut.join()::err);
    CLUSTER.cluster().startControllerAgain();

    CompletableFuture<Vireo.Result> whole = traceUntilItsEnd(vireo);
    guests.stop("traced");
    guests.awaitEnd("traced");
    assertEquals(0, whole.get(1, TimeUnit.MINUTES).exitCode(), whole.join()::err);
    assertTrue(whole.join().out().contains("  root/0 "), whole.join()::out);
  }

  /** One that has begun: there is no other at the same time, be it left of one before. */
  private static CompletableFuture<Vireo.Result> traceUntilItsEnd(Vireo vireo) {
    await("nobody traces it")
        .atMost(LinuxCluster.PATIENCE)
        .until(() -> vireo.run("trace", "traced", "--io", "--limit", "1").exitCode() == 0);
    CompletableFuture<Vireo.Result> trace =
        CompletableFuture.supplyAsync(() -> vireo.run("trace", "traced", "--io"));
    await("somebody traces it")
        .atMost(LinuxCluster.PATIENCE)
        .until(() -> vireo.run("trace", "traced", "--io", "--limit", "1").exitCode() == 5);
    return trace;
  }

  @Test
  void aGuestTakesItsVsockDevice() {
    MicroVmSpec.Builder spec = LinuxGuests.debian("idle");
    spec.getVsockBuilder().setCid(42);
    guests.start("streams", spec);
    guests.awaitConsole("streams", "vireo: idle");

    assertLine(guests.console("streams"), "vireo: virtio1 +vmw_vsock_virtio_transport .* edge");
    assertEquals(42, guests.status("streams").getVsock().getCid());
    assertTrue(guests.status("streams").getVsock().getSocket().endsWith("/vsock"));
    DeviceInspection vsock = guests.inspect("streams").getDevices(1);
    assertEquals("vsock/unix", vsock.getBackEnd());
    assertTrue(vsock.getQueuesList().stream().allMatch(QueueInspection::getReady));
  }

  /** As a person on the node has it: a terminal with a size, and a pipe that loses nothing. */
  @Test
  void aGuestHasAShellOnItsConsoleAndAPipe() throws Exception {
    CLUSTER.cluster().mountTools(Architecture.X86_64);
    MicroVmSpec.Builder spec = LinuxGuests.debian("shell,echo:org.example.agent,idle");
    VirtioConsole.Builder console = spec.getVirtioConsoleBuilder();
    console
        .addPortsBuilder()
        .setName("hvc0")
        .setConsole(true)
        .getSizeBuilder()
        .setColumns(80)
        .setRows(25);
    console.addPortsBuilder().setName("org.example.agent");
    guests.start("spoken-to", spec);
    guests.awaitConsole("spoken-to", "vireo: idle");
    assertLine(guests.console("spoken-to"), "vireo: virtio1 +virtio_console .* edge");
    var shell =
        new GuestShell(
            CLUSTER.cluster(),
            Architecture.X86_64,
            guests.status("spoken-to").getConsolePorts(0).getSocket());
    String pipe = guests.status("spoken-to").getConsolePorts(1).getSocket();

    assertEquals("25 80", shell.answer("stty size"));
    guests.resizeConsole("spoken-to", "hvc0", 132, 43);
    assertEquals("43 132", shell.answer("until stty size | grep 132; do sleep 1; done"));
    String piped =
        CLUSTER
            .cluster()
            .askNode(
                Architecture.X86_64,
                "%s/bin/streams connect unix %s 3 1 200000".formatted(LinuxCluster.TOOLS, pipe));

    assertTrue(piped.contains("3 connections, 1 at once, 200000 bytes each way"), piped);
    DeviceInspection device = guests.inspect("spoken-to").getDevices(1);
    assertEquals("console/unix", device.getBackEnd());
  }

  /** What the guest has touched is the node's again, first as it is asked for, then by itself. */
  @Test
  void theNodeHasMemoryBackWhileItsGuestRuns() {
    MicroVmSpec.Builder spec = LinuxGuests.debian("touch:96,idle");
    spec.getBalloonBuilder().setDeflateOnOom(true);
    guests.start("elastic", spec);
    guests.awaitConsole("elastic", "vireo: idle");
    assertLine(guests.console("elastic"), "vireo: virtio1 +virtio_balloon .* edge");
    // While a VMM changes its mappings, Linux 6.1 may leave one out of their sum (smaps_rollup).
    long touched =
        await("what it has touched")
            .atMost(LinuxCluster.PATIENCE)
            .until(() -> guests.inspect("elastic").getPssBytes(), pss -> pss > 96 << 20);

    guests.setBalloon("elastic", 128);
    awaitBalloon("elastic", 128);
    assertTrue(
        guests.inspect("elastic").getPssBytes() < touched - (64 << 20), "of " + touched + " bytes");
    DeviceInspection balloon = guests.inspect("elastic").getDevices(1);
    assertEquals("balloon/host", balloon.getBackEnd());
    assertEquals(0, balloon.getCountersOrDefault("errors_outside_memory", 0), balloon::toString);
    assertTrue(balloon.getGaugesOrThrow("guest_free_bytes") < 128 << 20, balloon::toString);
    assertTrue(balloon.getGaugesOrThrow("guest_total_bytes") > 64 << 20, balloon::toString);

    guests.setBalloon("elastic", 16);
    awaitBalloon("elastic", 16);
  }

  private void awaitBalloon(String name, long mib) {
    await("%d MiB in the balloon".formatted(mib))
        .atMost(LinuxCluster.PATIENCE)
        .until(
            () -> guests.inspect(name).getDevices(1).getGaugesOrThrow("actual_bytes") == mib << 20);
  }

  @Test
  void theNodeHasBackWhatAGuestReportsFree() {
    MicroVmSpec.Builder spec = LinuxGuests.debian("touch:200,idle").setMemoryMib(512);
    spec.getBalloonBuilder().setFreePageReporting(true);
    guests.start("tidy", spec);
    guests.awaitConsole("tidy", "vireo: idle");
    assertLine(guests.console("tidy"), "vireo: touched 200 MiB");

    var _ =
        await("the node has less of it than the guest has touched")
            .atMost(LinuxCluster.PATIENCE)
            .until(
                () -> guests.inspect("tidy"),
                tidy ->
                    tidy.getPssBytes() < 200 << 20
                        && tidy.getDevices(1).getCountersOrDefault("bytes_reported", 0)
                            > 100 << 20);
  }

  /** It uses what it was given, and what it has given back is the node's again. */
  @Test
  void aGuestsMemoryGrowsAndShrinksWhileItRuns() throws IOException {
    MicroVmSpec.Builder spec =
        LinuxGuests.debian("sh:" + LinuxGuests.compressed(TELL_AND_USE_MEMORY));
    spec.getMemoryHotplugBuilder().setMaximumMib(1024);
    guests.start("growing", spec);
    guests.awaitConsole("growing", "memory: ");
    assertLine(guests.console("growing"), "vireo: virtio1 +virtio_mem .* edge");
    long own = memoryTotals("growing").getFirst();

    guests.setMemory("growing", 256 + 512);
    awaitPlugged("growing", 512);
    guests.awaitConsole("growing", "memory: used");
    assertEquals(512, memoryTotals("growing").getLast() - own);
    long used = guests.inspect("growing").getPssBytes();
    assertTrue(used > 300 << 20, "of " + used + " bytes");

    guests.setMemory("growing", 256);
    awaitPlugged("growing", 0);
    await("what the guest itself says")
        .atMost(LinuxCluster.PATIENCE)
        .pollInterval(Duration.ofSeconds(2))
        .until(() -> memoryTotals("growing").getLast() == own);
    long left = guests.inspect("growing").getPssBytes();
    assertTrue(left < used - (250 << 20), left + " of " + used + " bytes");
    DeviceInspection memory = guests.inspect("growing").getDevices(1);
    assertEquals("mem/host", memory.getBackEnd());
    assertEquals(512 << 20, memory.getCountersOrDefault("bytes_unplugged", 0), memory::toString);
    assertEquals(0, memory.getCountersOrDefault("errors_state", 0), memory::toString);
    assertEquals(MicroVmState.RUNNING, guests.status("growing").getState());
  }

  private List<Long> memoryTotals(String name) {
    return guests
        .console(name)
        .lines()
        .filter(line -> line.matches("memory: \\d+ MiB"))
        .map(line -> Long.parseLong(line.replaceAll("\\D", "")))
        .toList();
  }

  private void awaitPlugged(String name, long mib) {
    await("%d MiB plugged".formatted(mib))
        .atMost(LinuxCluster.PATIENCE)
        .pollInterval(Duration.ofSeconds(2)) // Not to take the guest's time.
        .until(() ->
            guests.inspect(name).getDevices(1).getGaugesOrThrow("plugged_bytes") == mib << 20);
  }

  /** Both ways, more than fits into any queue; then somebody takes the interface away. */
  @Test
  void aGuestTalksWithTheNodesKernelOverItsTap() throws Exception {
    String steps = "address:192.0.2.2/24,link:up,fetch:192.0.2.1/data,serve:4000000,link:down,idle";
    MicroVmSpec.Builder spec = LinuxGuests.debian(steps);
    spec.addNetworksBuilder().setId("lan").setMacAddress("02:00:5e:00:53:07");
    guests.start("networked", spec);
    String tap = guests.inspect("networked").getDevices(1).getAttributesOrThrow("tap");

    CLUSTER
        .cluster()
        .onNode(
            Architecture.X86_64,
            """
            mkdir -p /tmp/www && head -c 4000000 /dev/urandom > /tmp/www/data &&
            httpd -p 80 -h /tmp/www &&
            ip address add 192.0.2.1/24 dev %s && ip link set %s up\
            """
                .formatted(tap, tap));
    guests.awaitConsole("networked", "vireo: serving 4000000 bytes");
    // In segments larger than the MTU. Later there are acknowledgements of what is served besides.
    DeviceInspection fetching = guests.inspect("networked").getDevices(1);
    assertTrue(
        fetching.getCountersOrDefault("rx_frames", 0) < 4_000_000 / 1500, fetching::toString);

    String console = guests.console("networked");
    assertLine(console, "vireo: virtio1 +virtio_net .* edge");
    String fetched = wordAfter(console, "vireo: fetched 192.0.2.1/data, md5 ");
    String served = wordAfter(console, "vireo: serving 4000000 bytes, md5 ");
    CLUSTER
        .cluster()
        .onNode(
            Architecture.X86_64,
            """
            md5sum < /tmp/www/data | grep %s &&
            wget -q -O - http://192.0.2.2/data | md5sum | grep %s &&
            ip neigh | grep '192.0.2.2 dev %s lladdr 02:00:5e:00:53:07' &&
            ip link del %s\
            """
                .formatted(fetched, served, tap, tap));
    guests.awaitConsole("networked", "vireo: link down");

    DeviceInspection net = guests.inspect("networked").getDevices(1);
    assertEquals("net/tap", net.getBackEnd());
    assertTrue(net.getCountersOrDefault("rx_bytes", 0) > 4_000_000, net::toString);
    assertTrue(net.getCountersOrDefault("tx_bytes", 0) > 4_000_000, net::toString);
    assertEquals("", net.getAttributesOrThrow("tap"), "it is gone");
    assertEquals(MicroVmState.RUNNING, guests.status("networked").getState());
  }

  private static String wordAfter(String console, String text) {
    int start = console.indexOf(text) + text.length();
    return console.substring(start, start + 32);
  }

  @Test
  void anInterfaceThatTheNodeMadeIsGoneWithItsVmm() throws Exception {
    MicroVmSpec.Builder spec = LinuxGuests.debian("idle");
    spec.addNetworksBuilder().setId("lan").setQueuePairs(2);
    guests.start("doomed", spec);
    Inspection inspection = guests.inspect("doomed");
    String tap = inspection.getDevices(1).getAttributesOrThrow("tap");

    CLUSTER
        .cluster()
        .onNode(
            Architecture.X86_64,
            "ip link show %s && kill -9 %d && while ip link show %s; do sleep 1; done"
                .formatted(tap, inspection.getVmmPid(), tap));
    assertEquals(Cause.VMM_LOST, guests.awaitEnd("doomed").getCause());
  }

  @Test
  void aGuestThatIsAskedToStopPowersOffInOrder() {
    guests.start("obedient", LinuxGuests.debian("idle"));
    guests.awaitConsole("obedient", "vireo: idle");

    guests.stop("obedient");

    assertEquals(Cause.STOPPED_BY_REQUEST, guests.awaitEnd("obedient").getCause());
    assertLine(guests.console("obedient"), "vireo: poweroff");
  }

  @Test
  void aGuestsResetIsSeen() {
    guests.start("restless", LinuxGuests.debian("reboot"));

    assertEquals(Cause.GUEST_RESET, guests.awaitEnd("restless").getCause());
  }

  @Test
  void aGuestWhoseVmmIsKilledIsStartedAgainOnItsDisk() throws Exception {
    MicroVmSpec.Builder spec = LinuxGuests.debian("idle");
    spec.getLifecycleBuilder().setRestartPolicy(RestartPolicy.ON_FAILURE);
    guests.start("reborn", spec);
    guests.awaitConsole("reborn", "vireo: idle");
    long first = guests.inspect("reborn").getVmmPid();

    CLUSTER.cluster().onNode(Architecture.X86_64, "kill -9 " + first);

    await().atMost(LinuxCluster.PATIENCE).until(() -> guests.status("reborn").getRestarts() == 1);
    guests.awaitConsole("reborn", "boot 2 from it");
    assertNotEquals(first, guests.inspect("reborn").getVmmPid());
  }
}

package dev.vireo.cli;

import static dev.vireo.cli.FakeController.NOW;
import static dev.vireo.cli.FakeController.timestamp;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.protobuf.util.JsonFormat;
import dev.vireo.proto.errors.ErrorReason;
import dev.vireo.proto.errors.Errors;
import dev.vireo.proto.v1.Architecture;
import dev.vireo.proto.v1.Boot;
import dev.vireo.proto.v1.BootTimings;
import dev.vireo.proto.v1.Condition;
import dev.vireo.proto.v1.ConsolePort;
import dev.vireo.proto.v1.ConsolePortStatus;
import dev.vireo.proto.v1.ConsoleSize;
import dev.vireo.proto.v1.DeviceInspection;
import dev.vireo.proto.v1.Disk;
import dev.vireo.proto.v1.Inspection;
import dev.vireo.proto.v1.ListMicroVmsResponse;
import dev.vireo.proto.v1.MicroVm;
import dev.vireo.proto.v1.MicroVmSpec;
import dev.vireo.proto.v1.MicroVmState;
import dev.vireo.proto.v1.MicroVmStatus;
import dev.vireo.proto.v1.Node;
import dev.vireo.proto.v1.NodeCapabilities;
import dev.vireo.proto.v1.NodeResources;
import dev.vireo.proto.v1.NodeStatus;
import dev.vireo.proto.v1.QueueInspection;
import dev.vireo.proto.v1.RegisterPageMode;
import dev.vireo.proto.v1.ResourceMeta;
import dev.vireo.proto.v1.VirtioConsole;
import dev.vireo.proto.v1.VmmCompiler;
import dev.vireo.proto.v1.VsockStatus;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** What people and scripts read: list, get, inspect, node list. */
class ReadingCommandsTest {
  private static final String WEB = "projects/default/microvms/web-1";
  private static final String JOB = "projects/default/microvms/job";

  private final FakeController controller = new FakeController();
  private final Cli cli = new Cli(controller);

  @AfterEach
  void close() {
    controller.close();
  }

  @Test
  void listsAsATable() {
    controller.put(running(WEB));
    controller.put(pending(JOB));

    assertEquals(ExitCode.OK, cli.run("list"));

    assertEquals(
        """
        NAME   STATE    READY  NODE  KERNEL     CPU  MEMORY   AGE  REASON
        web-1  RUNNING  yes    here  debian-12  1    256 MiB  90s
        job    PENDING  no     -     debian-12  1    256 MiB  90s  NoNodeFits: 0 of 1 nodes: 1 lacks memory
        """,
        cli.out());
  }

  @Test
  void listsEveryPage() {
    controller.pageSize(1).put(running(WEB));
    controller.put(pending(JOB));

    cli.run("list", "-o", "name");

    assertEquals(WEB + "\n" + JOB + "\n", cli.out());
  }

  @Test
  void listsAsJsonThatIsTheApisOwn() throws Exception {
    MicroVm stored = controller.put(running(WEB));

    cli.run("list", "-o", "json");

    ListMicroVmsResponse.Builder read = ListMicroVmsResponse.newBuilder();
    JsonFormat.parser().merge(cli.out(), read);
    assertEquals(stored, read.getMicrovms(0));
  }

  @Test
  void saysWhatToDoWhenThereIsNothingAndKeepsStandardOutputClean() {
    assertEquals(ExitCode.OK, cli.run("list"));
    assertEquals("", cli.out());
    assertTrue(cli.err().contains("vireo run"), cli.err());
  }

  @Test
  void showsOneWithItsConditions() {
    controller.put(pending(JOB));

    assertEquals(ExitCode.OK, cli.run("get", "job"));

    assertEquals(
        """
        name       projects/default/microvms/job
        uid        uid-1
        state      PENDING NoNodeFits: 0 of 1 nodes: 1 lacks memory
        node       - (attempt 0, 0 restarts)
        created    90s ago, generation 1
        labels     -
        machine    x86-64, 1 vCPU, 256 MiB
        boot       debian-12
        disk       root from image:, read-only
        vsock      CID 3, /run/vireo/vsock
        console    hvc0 of 80x25, /run/vireo/console-hvc0
        pipe       agent
        lifecycle  restart never

        CONDITION  STATUS  SINCE  REASON      MESSAGE
        Scheduled  false   5s     NoNodeFits  0 of 1 nodes: 1 lacks memory
        """,
        cli.out());
  }

  @Test
  void namesTheMissingAndWhatToDo() {
    assertEquals(ExitCode.NOT_FOUND, cli.run("get", "nobody"));
    assertEquals(
        """
        error: there is no projects/default/microvms/nobody
          reason: MICROVM_NOT_FOUND
          cause:  No microVM has this name.
          remedy: List what exists: vireo list.
        """,
        cli.err());
    assertEquals("", cli.out());
  }

  @Test
  void saysWhenToTryAgain() {
    controller.failures.add(Errors.of(ErrorReason.NODE_UNREACHABLE, "the worker has gone"));

    assertEquals(ExitCode.UNAVAILABLE, cli.run("get", "web-1"));
    assertEquals(
        """
        error: the worker has gone
          reason: NODE_UNREACHABLE
          cause:  The node's worker has no session with the controller now.
          remedy: Retry with back-off; see vireo node list. Try again in 5s.
        """,
        cli.err());
  }

  @Test
  void changesABalloonsTarget() {
    controller.put(running(WEB));

    assertEquals(ExitCode.OK, cli.run("balloon", "web-1", "--target", "128MiB"));

    assertTrue(cli.out().endsWith(", 128 of 256 MiB are to be given back\n"), cli.out());
    assertEquals(ExitCode.USAGE, cli.run("balloon", "web-1"));
    assertEquals(ExitCode.USAGE, cli.run("balloon", "web-1", "--target", "much"));
  }

  @Test
  void changesAGuestsMemory() {
    controller.put(running(WEB));

    assertEquals(ExitCode.OK, cli.run("memory", "web-1", "--size", "1G"));

    assertTrue(
        cli.out().endsWith(", is to have 1024 MiB: 256, 768 plugged, 0 given back\n"), cli.out());
    assertEquals(ExitCode.OK, cli.run("get", "web-1"));
    assertTrue(cli.out().contains("256 MiB + 768 MiB"), cli.out());
    assertEquals(ExitCode.USAGE, cli.run("memory", "web-1"));
    assertEquals(ExitCode.USAGE, cli.run("memory", "web-1", "--size", "much"));
  }

  @Test
  void inspectsWhatIsTrueOfADeviceNow() {
    controller.put(running(WEB));
    controller.inspection(
        Inspection.newBuilder()
            .addDevices(
                DeviceInspection.newBuilder()
                    .setModel("balloon")
                    .setId("balloon")
                    .setDriverFeatures(1L << 5 | 1 << 1)
                    .putGauges("target_bytes", 8_388_608)
                    .putGauges("actual_bytes", 4_194_304))
            .build());

    assertEquals(ExitCode.OK, cli.run("inspect", "web-1"));

    assertTrue(cli.out().contains("STATS_VQ,PAGE_REPORTING"), cli.out());
    assertTrue(
        cli.out()
            .contains(
                """
                DEVICE   NOW           VALUE
                balloon  actual_bytes  4194304
                balloon  target_bytes  8388608
                """),
        cli.out());
  }

  @Test
  void aVmmThatDoesNotAnswerMayBeInspectedAgain() {
    controller.failures.add(
        Errors.of(ErrorReason.VMM_UNRESPONSIVE, "its VMM did not answer within 15 s"));

    assertEquals(ExitCode.UNAVAILABLE, cli.run("inspect", "web-1"));
    assertTrue(cli.err().startsWith("error: its VMM did not answer within 15 s\n"), cli.err());
    assertTrue(cli.err().endsWith(" Try again in 2s.\n"), cli.err());
  }

  @Test
  void inspectsDevicesQueuesExitsAndTimes() {
    controller.put(running(WEB));
    controller.inspection(
        Inspection.newBuilder()
            .setVmmPid(4242)
            .setCompiler(VmmCompiler.VMM_COMPILER_FAST)
            .setAnnouncement("ACPI")
            .setCommandLine("console=ttyS0")
            .setPssBytes(13 << 20)
            .setConsoleBytes(2048)
            .addDevices(
                DeviceInspection.newBuilder()
                    .setModel("blk")
                    .setId("root")
                    .setBackEnd("file")
                    .setMmioBase(0xd0000000L)
                    .setMmioSize(4096)
                    .setGsi(5)
                    .setStatus(0xf)
                    .setDriverFeatures(1L << 32 | 1 << 9)
                    .setExitsPerIo(0.002)
                    .setRegisterPage(RegisterPageMode.REGISTER_PAGE_LAZY)
                    .addQueues(
                        QueueInspection.newBuilder()
                            .setSize(256)
                            .setReady(true)
                            .setRequests(700)
                            .setNotifications(650)
                            .setInterrupts(640)))
            .putExits("hlt", 3)
            .putExits("pio.0x3f8", 812)
            .setTimings(
                BootTimings.newBuilder()
                    .setSpecReceivedNs(1_000_000)
                    .setVmCreatedNs(1_750_000)
                    .setFirstExitNs(3_000_000))
            .build());

    assertEquals(ExitCode.OK, cli.run("inspect", "web-1"));

    assertEquals(
        """
        web-1  RUNNING on here, fast VMM process 4242, 13.0 MiB of memory (proportional), 2.0 KiB of console
        devices announced by acpi; arguments: console=ttyS0

        SLOT  DEVICE  ID    BACK END  ADDRESS     SIZE     GSI  STATUS     FEATURES         REGISTERS  EXITS/IO
        0     blk     root  file      0xd0000000  4.0 KiB  5    DRIVER_OK  FLUSH,VERSION_1  lazy       0.002

        QUEUE   SIZE  READY  REQUESTS  NOTIFIED  INTERRUPTS  SUPPRESSED
        root/0  256   yes    700       650       640         0

        EXITS TO USER SPACE  COUNT
        pio.0x3f8            812
        hlt                  3

        AFTER THE SPEC  TIME
        VM set up       0.75 ms
        first exit      2.00 ms
        """,
        cli.out());
  }

  @Test
  void listsNodes() {
    controller.add(
        Node.newBuilder()
            .setMeta(ResourceMeta.newBuilder().setName("nodes/here"))
            .setStatus(
                NodeStatus.newBuilder()
                    .setHealth(NodeStatus.Health.READY)
                    .setCapabilities(
                        NodeCapabilities.newBuilder()
                            .setArchitecture(Architecture.X86_64)
                            .setVirtualization("pvm"))
                    .setCapacity(
                        NodeResources.newBuilder().setCpuMilli(2000).setMemoryMib(24 * 1024))
                    .setAllocated(NodeResources.newBuilder().setCpuMilli(500).setMemoryMib(256))
                    .setLastHeartbeatTime(timestamp(NOW.minusSeconds(2)))
                    .setWarmVmms(4))
            .build());

    assertEquals(ExitCode.OK, cli.run("node", "list"));

    assertEquals(
        """
        NAME  HEALTH  ARCH    KVM  LINUX GUESTS  CPU       MEMORY             MICROVMS  WARM  SEEN
        here  READY   x86-64  pvm  no            0.5 of 2  256 MiB of 24 GiB  0         4     2s
        """,
        cli.out());
  }

  @Test
  void aNodesPageNamesItsContainerImages() {
    NodeStatus.Builder status = NodeStatus.newBuilder();
    status.addContainerImagesBuilder().setId("sha256:" + "1".repeat(64)).setRootBytes(1 << 20);
    status
        .addContainerImagesBuilder()
        .setId("sha256:" + "2".repeat(64))
        .setRootBytes(1500)
        .addNames("docker.io/library/tool:1")
        .addNames("docker.io/library/tool:latest");
    controller.add(
        Node.newBuilder()
            .setMeta(ResourceMeta.newBuilder().setName("nodes/here"))
            .setStatus(status)
            .build());

    assertEquals(ExitCode.OK, cli.run("node", "get", "here"));

    assertTrue(
        cli.out()
            .endsWith(
                """

                CONTAINER IMAGE                                          ID            ROOT
                -                                                        111111111111  1.0 MiB
                docker.io/library/tool:1, docker.io/library/tool:latest  222222222222  1.5 KiB
                """),
        cli.out());
  }

  private static MicroVm running(String name) {
    return microVm(
        name,
        MicroVmStatus.newBuilder()
            .setState(MicroVmState.RUNNING)
            .setNode("nodes/here")
            .addConditions(
                Condition.newBuilder().setType("Ready").setStatus(Condition.Status.TRUE)));
  }

  private static MicroVm pending(String name) {
    return microVm(
        name,
        MicroVmStatus.newBuilder()
            .setState(MicroVmState.PENDING)
            .setVsock(VsockStatus.newBuilder().setCid(3).setSocket("/run/vireo/vsock"))
            .addConsolePorts(
                ConsolePortStatus.newBuilder().setName("hvc0").setSocket("/run/vireo/console-hvc0"))
            .addConditions(
                Condition.newBuilder()
                    .setType("Scheduled")
                    .setStatus(Condition.Status.FALSE)
                    .setReason("NoNodeFits")
                    .setMessage("0 of 1 nodes: 1 lacks memory")
                    .setLastTransitionTime(timestamp(NOW.minusSeconds(5)))));
  }

  private static MicroVm microVm(String name, MicroVmStatus.Builder status) {
    return MicroVm.newBuilder()
        .setMeta(ResourceMeta.newBuilder().setName(name))
        .setSpec(
            MicroVmSpec.newBuilder()
                .setArchitecture(Architecture.X86_64)
                .setVcpus(1)
                .setMemoryMib(256)
                .setBoot(Boot.newBuilder().setKernel("debian-12"))
                .addDisks(Disk.newBuilder().setId("root").setSource("image:").setReadOnly(true))
                .setVirtioConsole(
                    VirtioConsole.newBuilder()
                        .addPorts(
                            ConsolePort.newBuilder()
                                .setName("hvc0")
                                .setConsole(true)
                                .setSize(ConsoleSize.newBuilder().setColumns(80).setRows(25)))
                        .addPorts(ConsolePort.newBuilder().setName("agent"))))
        .setStatus(status)
        .build();
  }
}

package dev.vireo.controller.api;

import static dev.vireo.proto.v1.RegisterPageMode.REGISTER_PAGE_STRICT;
import static dev.vireo.proto.v1.VmmCompiler.VMM_COMPILER_FAST;
import static java.util.Objects.requireNonNull;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.protobuf.ByteString;
import com.google.protobuf.Duration;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.rpc.BadRequest;
import dev.vireo.proto.v1.ConsolePort;
import dev.vireo.proto.v1.ConsoleSize;
import dev.vireo.proto.v1.Container;
import dev.vireo.proto.v1.DesiredState;
import dev.vireo.proto.v1.Disk;
import dev.vireo.proto.v1.MemoryBacking;
import dev.vireo.proto.v1.Metadata;
import dev.vireo.proto.v1.MicroVmSpec;
import dev.vireo.proto.v1.Network;
import dev.vireo.proto.v1.Vsock;
import io.grpc.StatusRuntimeException;
import io.grpc.protobuf.StatusProto;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.Consumer;
import org.junit.jupiter.api.Test;

/** Each thing that can be wrong in a spec by itself, by its field and reason. */
final class SpecValidatorTest {
  private static MicroVmSpec.Builder good() {
    MicroVmSpec.Builder spec = MicroVmSpec.newBuilder().setVcpus(1).setMemoryMib(64);
    spec.getBootBuilder().setKernel("debian-12");
    return spec;
  }

  /** Field and reason of everything that is found wrong after a change. */
  private static Map<String, String> wrong(Consumer<MicroVmSpec.Builder> change) {
    MicroVmSpec.Builder spec = good();
    change.accept(spec);
    Violations violations = new Violations();
    SpecValidator.validate(spec.build(), violations);
    return violations.isEmpty() ? Map.of() : fields(violations.toException());
  }

  static Map<String, String> fields(StatusRuntimeException error) {
    try {
      Map<String, String> fields = new TreeMap<>();
      requireNonNull(StatusProto.fromThrowable(error))
          .getDetails(1)
          .unpack(BadRequest.class)
          .getFieldViolationsList()
          .forEach(violation -> fields.put(violation.getField(), violation.getReason()));
      return fields;
    } catch (InvalidProtocolBufferException e) {
      throw new AssertionError(e);
    }
  }

  private static Map<String, String> invalid(String field) {
    return Map.of(field, "FIELD_INVALID");
  }

  @Test
  void aGoodSpecIsFoundGood() {
    assertEquals(Map.of(), wrong(_ -> {}));
    assertEquals(
        Map.of(),
        wrong(spec -> {
          spec.addDisks(Disk.newBuilder().setId("root").setSource("image:"));
          spec.addDisks(Disk.newBuilder().setId("d-2").setSource("/data").setReadOnly(true));
          spec.addDisksBuilder()
              .setId("d-3")
              .setSource("/dev/sdb")
              .setBackEnd("auto")
              .setDirect(true)
              .setQueues(16)
              .getRateLimitBuilder()
              .getOperationsBuilder()
              .setCapacity(1)
              .setRefillPerSecond(1);
          spec.addNetworksBuilder().setId("net0");
          spec.addNetworksBuilder()
              .setId("net1")
              .setBackEnd("net/tap")
              .setTap("br-lan.5")
              .setMacAddress("02:00:5E:00:53:0a")
              .setQueuePairs(8)
              .setMtu(9000)
              .getRxRateLimitBuilder()
              .getBandwidthBuilder()
              .setCapacity(1)
              .setRefillPerSecond(Long.MAX_VALUE);
          spec.getBootBuilder().setCommandLine("a".repeat(2_047)).setInitramfs("/i");
          spec.getLifecycleBuilder()
              .setTtl(Duration.newBuilder().setNanos(1))
              .setStopGrace(Duration.getDefaultInstance());
          spec.getPlacementBuilder().putNodeSelector("zone", "a");
          spec.getConsoleBuilder().setMaxBytes(1 << 30).setReadyMarker("login:");
          spec.getVirtioConsoleBuilder()
              .addPorts(console("hvc0").setSize(size(65_535, 1)))
              .addPorts(ConsolePort.newBuilder().setName("org.example.agent-0"));
        }));
  }

  @Test
  void everythingWrongIsSaidAtOnce() {
    assertEquals(
        Map.of(
            "spec.vcpus", "FIELD_INVALID",
            "spec.memory_mib", "FIELD_INVALID",
            "spec.boot.kernel", "FIELD_REQUIRED",
            "spec.disks[1].id", "FIELD_INVALID",
            "spec.disks[1].source", "FIELD_REQUIRED"),
        wrong(spec ->
            spec.setVcpus(0)
                .setMemoryMib(0)
                .clearBoot()
                .addDisks(Disk.newBuilder().setId("a").setSource("/a"))
                .addDisks(Disk.newBuilder().setId("a"))));
  }

  @Test
  void sizes() {
    assertEquals(invalid("spec.vcpus"), wrong(spec -> spec.setVcpus(0)));
    assertEquals(invalid("spec.vcpus"), wrong(spec -> spec.setVcpus(65)));
    assertEquals(invalid("spec.vcpus"), wrong(spec -> spec.setVcpus(10_000)));
    assertEquals(invalid("spec.vcpus"), wrong(spec -> spec.setVcpus(-1)), "4,294,967,295");
    assertEquals(invalid("spec.memory_mib"), wrong(spec -> spec.setMemoryMib(15)));
    assertEquals(invalid("spec.memory_mib"), wrong(spec -> spec.setMemoryMib(Long.MAX_VALUE)));
    assertEquals(invalid("spec.memory_mib"), wrong(spec -> spec.setMemoryMib(-1)), "2^64 - 1");
  }

  private static ConsolePort.Builder console(String name) {
    return ConsolePort.newBuilder().setName(name).setConsole(true);
  }

  private static ConsoleSize size(int columns, int rows) {
    return ConsoleSize.newBuilder().setColumns(columns).setRows(rows).build();
  }

  @Test
  void virtioConsole() {
    String field = "spec.virtio_console";
    assertEquals(invalid(field + ".ports"), wrong(MicroVmSpec.Builder::getVirtioConsoleBuilder));
    assertEquals(
        invalid(field + ".ports"),
        wrong(spec -> {
          for (int i = 0; i < 17; i++) {
            spec.getVirtioConsoleBuilder().addPorts(console("hvc" + i));
          }
        }));
    assertEquals(
        Map.of(field + ".ports[0].name", "FIELD_REQUIRED"),
        wrong(spec -> spec.getVirtioConsoleBuilder().addPorts(console(""))));
    for (String name : List.of("a b", "../hvc0", ".hidden", "a".repeat(33), "-a", "Hvc0")) {
      assertEquals(
          invalid(field + ".ports[0].name"),
          wrong(spec -> spec.getVirtioConsoleBuilder().addPorts(console(name))),
          name);
    }
    assertEquals(
        invalid(field + ".ports[1].name"),
        wrong(
            spec -> spec.getVirtioConsoleBuilder().addPorts(console("a")).addPorts(console("a"))));
    assertEquals(
        invalid(field + ".ports[0].console"),
        wrong(spec -> spec.getVirtioConsoleBuilder().addPorts(console("a").setConsole(false))));
    assertEquals(
        invalid(field + ".ports[1].size"),
        wrong(spec ->
            spec.getVirtioConsoleBuilder()
                .addPorts(console("a"))
                .addPorts(console("b").setConsole(false).setSize(size(80, 25)))));
    assertEquals(
        invalid(field + ".ports[0].size.rows"),
        wrong(spec -> spec.getVirtioConsoleBuilder().addPorts(console("a").setSize(size(80, 0)))));
    assertEquals(
        invalid(field + ".ports[0].size.columns"),
        wrong(spec ->
            spec.getVirtioConsoleBuilder().addPorts(console("a").setSize(size(65_536, 1)))));
    assertEquals(
        invalid(field + ".tx_rate_limit.operations.capacity"),
        wrong(spec ->
            spec.getVirtioConsoleBuilder()
                .addPorts(console("a"))
                .getTxRateLimitBuilder()
                .getOperationsBuilder()
                .setRefillPerSecond(1)));
    assertEquals(
        invalid("spec.disks[0].id"),
        wrong(spec -> {
          spec.getVirtioConsoleBuilder().addPorts(console("a"));
          spec.addDisksBuilder().setId("console").setSource("/d");
        }),
        "the device's own");
  }

  @Test
  void boot() {
    assertEquals(
        Map.of("spec.boot.kernel", "KERNEL_NOT_FOUND"),
        wrong(spec -> spec.getBootBuilder().setKernel("../vmlinuz")));
    assertEquals(
        invalid("spec.boot.initramfs"),
        wrong(spec -> spec.getBootBuilder().setInitramfs("initramfs")));
    assertEquals(
        invalid("spec.boot.no_initramfs"),
        wrong(spec -> spec.getBootBuilder().setInitramfs("/i").setNoInitramfs(true)));
    assertEquals(
        Map.of("spec.boot.command_line", "COMMAND_LINE_TOO_LONG"),
        wrong(spec -> spec.getBootBuilder().setCommandLine("a".repeat(2_048))));
    assertEquals(
        Map.of("spec.boot.command_line", "COMMAND_LINE_TOO_LONG"),
        wrong(spec -> spec.getBootBuilder().setCommandLine("é".repeat(1_024))),
        "bytes count, not characters");
    assertEquals(
        invalid("spec.boot.command_line"),
        wrong(spec -> spec.getBootBuilder().setCommandLine("a\nb")));
    assertEquals(
        invalid("spec.boot.announcement"),
        wrong(spec -> spec.getBootBuilder().setAnnouncementValue(99)));
    assertEquals(invalid("spec.architecture"), wrong(spec -> spec.setArchitectureValue(99)));
  }

  @Test
  void entropy() {
    assertEquals(Map.of(), wrong(spec -> spec.getEntropyBuilder().getRateLimitBuilder()));
    assertEquals(
        invalid("spec.entropy.rate_limit.bandwidth.capacity"),
        wrong(spec ->
            spec.getEntropyBuilder()
                .getRateLimitBuilder()
                .getBandwidthBuilder()
                .setRefillPerSecond(1)));
  }

  @Test
  void memoryBacking() {
    assertEquals(Map.of(), wrong(spec -> spec.setMemoryBacking(MemoryBacking.MEMORY_SHARED)));
    assertEquals(Map.of(), wrong(spec -> spec.setMemoryBacking(MemoryBacking.MEMORY_HUGE_PAGES)));
    assertEquals(invalid("spec.memory_backing"), wrong(spec -> spec.setMemoryBackingValue(99)));
    assertEquals(
        invalid("spec.memory_mib"),
        wrong(spec -> spec.setMemoryBacking(MemoryBacking.MEMORY_HUGE_PAGES).setMemoryMib(65)));
    assertEquals(
        Map.of("spec.balloon", "FIELD_UNSUPPORTED"),
        wrong(spec -> spec.setMemoryBacking(MemoryBacking.MEMORY_HUGE_PAGES).getBalloonBuilder()));
  }

  @Test
  void balloon() {
    assertEquals(Map.of(), wrong(spec -> spec.getBalloonBuilder().setTargetMib(64)));
    for (long target : new long[] {65, -1}) {
      assertEquals(
          invalid("spec.balloon.target_mib"),
          wrong(spec -> spec.getBalloonBuilder().setTargetMib(target)));
    }
    for (Duration interval : new Duration[] {seconds(0, 100_000_000), seconds(3_600, 0)}) {
      assertEquals(
          Map.of(), wrong(spec -> spec.getBalloonBuilder().setStatisticsInterval(interval)));
    }
    for (Duration interval :
        new Duration[] {
          seconds(0, 0),
          seconds(0, 99_999_999),
          seconds(0, 1_000_000_000),
          seconds(3_600, 1_000_000),
          seconds(Long.MAX_VALUE, 0),
          seconds(-1, 0)
        }) {
      assertEquals(
          invalid("spec.balloon.statistics_interval"),
          wrong(spec -> spec.getBalloonBuilder().setStatisticsInterval(interval)));
    }
  }

  private static Map<String, String> wrongContainer(Consumer<Container.Builder> change) {
    return wrong(spec -> {
      spec.getBootBuilder().clearKernel();
      change.accept(spec.getContainerBuilder().setImage("busybox"));
    });
  }

  @Test
  void containers() {
    for (String image :
        new String[] {
          "busybox",
          "docker.io/library/python:3.13",
          "[::1]:5000/a/b@sha256:" + "0".repeat(64),
          "sha256:" + "f".repeat(64)
        }) {
      assertEquals(Map.of(), wrongContainer(c -> c.setImage(image)));
    }
    assertEquals(
        Map.of("spec.container.image", "FIELD_REQUIRED"), wrongContainer(c -> c.setImage("")));
    for (String image : new String[] {"-x", "a b", "a\0", "/etc/passwd", "a".repeat(513)}) {
      assertEquals(invalid("spec.container.image"), wrongContainer(c -> c.setImage(image)));
    }
    assertEquals(invalid("spec.container.pull"), wrongContainer(c -> c.setPullValue(9)));
    assertEquals(
        Map.of(),
        wrongContainer(c ->
            c.addEntrypoint("/bin/sh")
                .addArguments("")
                .putEnvironment("A", "=b")
                .setWorkingDirectory("/tmp")
                .setUser("me:us")
                .setWritableMib(16)
                .setMaxOutputBytes(64 << 10)
                .setPidsLimit(4 << 20)));
    for (String directory : new String[] {"tmp", "./x", "/a\0", "/" + "a".repeat(4_095)}) {
      assertEquals(
          invalid("spec.container.working_directory"),
          wrongContainer(c -> c.setWorkingDirectory(directory)));
    }
    for (String user : new String[] {"\0", "u".repeat(129)}) {
      assertEquals(invalid("spec.container.user"), wrongContainer(c -> c.setUser(user)));
    }
    for (String name : new String[] {"", "A=B", "A\0"}) {
      assertEquals(
          invalid("spec.container.environment"), wrongContainer(c -> c.putEnvironment(name, "")));
    }
    assertEquals(
        invalid("spec.container.environment"), wrongContainer(c -> c.putEnvironment("A", "\0")));
    assertEquals(invalid("spec.container.entrypoint"), wrongContainer(c -> c.addEntrypoint("")));
    for (int port : new int[] {0, -1, 65_536}) {
      assertEquals(
          invalid("spec.container.http.port"),
          wrongContainer(c -> c.getHttpBuilder().setPort(port)));
    }
    for (String path : new String[] {"up", "/u p", "/" + "x".repeat(5_000)}) {
      assertEquals(
          invalid("spec.container.http.readiness_path"),
          wrongContainer(c -> c.getHttpBuilder().setPort(80).setReadinessPath(path)));
    }
    assertEquals(invalid("spec.container.arguments"), wrongContainer(c -> c.addArguments("\0")));
    assertEquals(Map.of(), wrongContainer(c -> c.addArguments("x".repeat((128 << 10) - 1))));
    assertEquals(
        invalid("spec.container.arguments"),
        wrongContainer(c -> c.addArguments("x".repeat(128 << 10))));
    for (long mib : new long[] {15, (1 << 20) + 1, -1}) {
      assertEquals(
          invalid("spec.container.writable_mib"), wrongContainer(c -> c.setWritableMib(mib)));
    }
    for (long bytes : new long[] {1, (64 << 10) - 1, (1L << 30) + 1, -1}) {
      assertEquals(
          invalid("spec.container.max_output_bytes"),
          wrongContainer(c -> c.setMaxOutputBytes(bytes)));
    }
    for (int pids : new int[] {-1, (4 << 20) + 1}) {
      assertEquals(invalid("spec.container.pids_limit"), wrongContainer(c -> c.setPidsLimit(pids)));
    }
  }

  private static Map<String, String> wrongMetadata(Consumer<Metadata.Builder> change) {
    return wrong(spec -> {
      spec.getBootBuilder().clearKernel();
      spec.getContainerBuilder().setImage("busybox");
      change.accept(spec.getMetadataBuilder());
    });
  }

  @Test
  void metadata() {
    assertEquals(
        Map.of(),
        wrongMetadata(m ->
            m.putAttributes("a", "")
                .putAttributes("Role.of-a_b", "x".repeat(4 << 10))
                .setUserData(ByteString.copyFrom(new byte[64 << 10]))));
    assertEquals(
        invalid("spec.metadata.user_data"),
        wrongMetadata(m -> m.setUserData(ByteString.copyFrom(new byte[(64 << 10) + 1]))));
    for (String key : new String[] {"", "a/b", "a b", "-a", "a.", "..", "é", "a".repeat(64)}) {
      assertEquals(
          invalid("spec.metadata.attributes"), wrongMetadata(m -> m.putAttributes(key, "")), key);
    }
    assertEquals(
        invalid("spec.metadata.attributes"),
        wrongMetadata(m -> m.putAttributes("a", "x".repeat((4 << 10) + 1))));
    assertEquals(invalid("spec.metadata.attributes"), wrongMetadata(m -> fill(m, 65, 1)));
    assertEquals(invalid("spec.metadata.attributes"), wrongMetadata(m -> fill(m, 9, 4 << 10)));
  }

  private static void fill(Metadata.Builder metadata, int count, int bytes) {
    for (int i = 0; i < count; i++) {
      metadata.putAttributes("k" + i, "x".repeat(bytes));
    }
  }

  @Test
  void metadataNeedsAWayOutOfTheGuest() {
    assertEquals(
        Map.of("spec.metadata", "FIELD_UNSUPPORTED"),
        wrong(spec -> spec.setMetadata(Metadata.getDefaultInstance())));
    assertEquals(
        Map.of(),
        wrong(spec ->
            spec.setMetadata(Metadata.getDefaultInstance()).setVsock(Vsock.getDefaultInstance())));
  }

  @Test
  void aContainerHasItsOwnInitramfsAndDisksAndAKernelThatComesWithTheAgent() {
    assertEquals(
        Map.of("spec.boot.kernel", "FIELD_REQUIRED"),
        wrong(spec -> spec.getBootBuilder().clearKernel()));
    assertEquals(
        invalid("spec.boot.kernel"),
        wrong(spec -> {
          spec.getBootBuilder().setKernel("/vmlinux");
          spec.getContainerBuilder().setImage("busybox");
        }));
    assertEquals(
        invalid("spec.boot.initramfs"),
        wrong(spec -> {
          spec.getBootBuilder().setNoInitramfs(true);
          spec.getContainerBuilder().setImage("busybox");
        }));
    for (String id : new String[] {"container-image", "container-writable", "vsock"}) {
      assertEquals(
          invalid("spec.disks[0].id"),
          wrong(spec -> {
            spec.getContainerBuilder().setImage("busybox");
            spec.addDisksBuilder().setId(id).setSource("/data");
          }));
    }
  }

  private static Map<String, String> wrongHotplug(long maximum, int block, long size) {
    return wrong(spec ->
        spec.getMemoryHotplugBuilder().setMaximumMib(maximum).setBlockMib(block).setSizeMib(size));
  }

  @Test
  void memoryHotplug() {
    assertEquals(Map.of(), wrongHotplug(128, 0, 0));
    assertEquals(Map.of(), wrongHotplug(128, 0, 2));
    assertEquals(Map.of(), wrongHotplug(1 << 20, 2, 1 << 20));
    assertEquals(Map.of(), wrongHotplug(2_048, 1_024, 1_024));
    for (long maximum : new long[] {0, 64, 129, 192, (1 << 20) + 128, -128, Long.MIN_VALUE}) {
      assertEquals(invalid("spec.memory_hotplug.maximum_mib"), wrongHotplug(maximum, 2, 0));
    }
    assertEquals(invalid("spec.memory_hotplug.maximum_mib"), wrongHotplug(1_152, 256, 0));
    for (int block : new int[] {1, 3, 2_048, -2, Integer.MIN_VALUE}) {
      assertEquals(invalid("spec.memory_hotplug.block_mib"), wrongHotplug(128, block, 0));
    }
    for (long size : new long[] {1, 130, -2}) {
      assertEquals(invalid("spec.memory_hotplug.size_mib"), wrongHotplug(128, 2, size));
    }
    assertEquals(
        Map.of(
            "spec.memory_hotplug.maximum_mib", "FIELD_INVALID",
            "spec.memory_hotplug.block_mib", "FIELD_INVALID",
            "spec.memory_hotplug.size_mib", "FIELD_INVALID"),
        wrongHotplug(100, 7, 200));
    assertEquals(
        Map.of(),
        wrong(spec ->
            spec.setMemoryBacking(MemoryBacking.MEMORY_HUGE_PAGES)
                .getMemoryHotplugBuilder()
                .setMaximumMib(128)));
    assertEquals(
        invalid("spec.disks[0].id"),
        wrong(spec -> {
          spec.getMemoryHotplugBuilder().setMaximumMib(128);
          spec.addDisksBuilder().setId("memory").setSource("/data");
        }));
  }

  private static Duration seconds(long seconds, int nanos) {
    return Duration.newBuilder().setSeconds(seconds).setNanos(nanos).build();
  }

  @Test
  void vsock() {
    for (int cid : new int[] {0, 3, 1 << 31, -2}) {
      assertEquals(Map.of(), wrong(spec -> spec.getVsockBuilder().setCid(cid)));
    }
    for (int cid : new int[] {1, 2, -1}) {
      assertEquals(invalid("spec.vsock.cid"), wrong(spec -> spec.getVsockBuilder().setCid(cid)));
    }
  }

  @Test
  void vmm() {
    assertEquals(
        Map.of(), wrong(spec -> spec.getVmmBuilder().setRegisterPage(REGISTER_PAGE_STRICT)));
    assertEquals(
        invalid("spec.vmm.register_page"),
        wrong(spec -> spec.getVmmBuilder().setRegisterPageValue(99)));
  }

  @Test
  void theCompilerIsOneThatThereIs() {
    assertEquals(Map.of(), wrong(spec -> spec.getVmmBuilder().setCompiler(VMM_COMPILER_FAST)));
    assertEquals(
        invalid("spec.vmm.compiler"), wrong(spec -> spec.getVmmBuilder().setCompilerValue(99)));
  }

  @Test
  void disks() {
    assertEquals(
        invalid("spec.disks[0].id"),
        wrong(spec -> spec.addDisks(Disk.newBuilder().setId("Root").setSource("/d"))));
    assertEquals(
        invalid("spec.disks[0].id"),
        wrong(spec -> spec.addDisks(Disk.newBuilder().setId("a".repeat(21)).setSource("/d"))));
    assertEquals(
        invalid("spec.disks[0].source"),
        wrong(spec -> spec.addDisks(Disk.newBuilder().setId("a").setSource("disk.img"))));
    assertEquals(
        invalid("spec.disks[0].source"),
        wrong(spec -> {
          spec.getBootBuilder().setKernel("/vmlinuz");
          spec.addDisks(Disk.newBuilder().setId("a").setSource("image:"));
        }));
    assertEquals(
        invalid("spec.disks[0].id"),
        wrong(spec -> {
          spec.addDisks(Disk.newBuilder().setId("entropy").setSource("/d"));
          spec.getEntropyBuilder();
        }),
        "the id of another device");
    assertEquals(
        invalid("spec.disks[0].id"),
        wrong(spec -> {
          spec.addDisks(Disk.newBuilder().setId("vsock").setSource("/d"));
          spec.getVsockBuilder();
        }),
        "the id of another device");
    assertEquals(
        invalid("spec.disks[0].queues"),
        wrong(spec -> spec.addDisks(Disk.newBuilder().setId("a").setSource("/d").setQueues(17))));
    assertEquals(
        Map.of("spec.disks[0].back_end", "FIELD_UNSUPPORTED"),
        wrong(spec ->
            spec.addDisks(Disk.newBuilder().setId("a").setSource("/d").setBackEnd("blk/nbd"))));
    assertEquals(
        Map.of(
            "spec.disks[0].rate_limit.bandwidth.capacity", "FIELD_INVALID",
            "spec.disks[0].rate_limit.operations.refill_per_second", "FIELD_INVALID"),
        wrong(spec -> {
          Disk.Builder disk = spec.addDisksBuilder().setId("a").setSource("/d");
          disk.getRateLimitBuilder().getBandwidthBuilder().setRefillPerSecond(1);
          disk.getRateLimitBuilder().getOperationsBuilder().setCapacity(1);
        }));
    assertEquals(
        invalid("spec.disks"),
        wrong(spec -> {
          for (int i = 0; i < 17; i++) {
            spec.addDisks(Disk.newBuilder().setId("d" + i).setSource("/d"));
          }
        }));
  }

  @Test
  void networks() {
    assertEquals(invalid("spec.networks[0].id"), wrongNetwork(net -> net.setId("Net0")));
    assertEquals(
        Map.of("spec.networks[0].id", "FIELD_REQUIRED"), wrongNetwork(net -> net.clearId()));
    assertEquals(
        Map.of("spec.networks[0].back_end", "FIELD_UNSUPPORTED"),
        wrongNetwork(net -> net.setBackEnd("net/vhost")));
    for (String mac : List.of("02:00:00:00:00", "02-00-00-00-00-01", "x", "01:00:5e:00:00:01")) {
      assertEquals(
          invalid("spec.networks[0].mac_address"), wrongNetwork(net -> net.setMacAddress(mac)));
    }
    for (String tap : List.of("a/b", "tap%d", "sixteen-letters-", " tap0", "..")) {
      assertEquals(invalid("spec.networks[0].tap"), wrongNetwork(net -> net.setTap(tap)), tap);
    }
    assertEquals(
        invalid("spec.networks[0].queue_pairs"), wrongNetwork(net -> net.setQueuePairs(9)));
    assertEquals(invalid("spec.networks[0].mtu"), wrongNetwork(net -> net.setMtu(67)));
    assertEquals(invalid("spec.networks[0].mtu"), wrongNetwork(net -> net.setMtu(65_522)));
    assertEquals(
        invalid("spec.networks[1].tap"),
        wrong(spec -> {
          spec.addNetworksBuilder().setId("a").setTap("tap0");
          spec.addNetworksBuilder().setId("b").setTap("tap0");
        }));
    assertEquals(
        invalid("spec.networks[0].id"),
        wrong(spec -> {
          spec.addDisksBuilder().setId("same").setSource("/d");
          spec.addNetworksBuilder().setId("same");
        }));
    assertEquals(
        invalid("spec.networks"),
        wrong(spec -> {
          for (int i = 0; i < 9; i++) {
            spec.addNetworksBuilder().setId("n" + i);
          }
        }));
    assertEquals(
        invalid("spec"),
        wrong(spec -> {
          for (int i = 0; i < 12; i++) {
            spec.addDisksBuilder().setId("d" + i).setSource("/d");
          }
          for (int i = 0; i < 8; i++) {
            spec.addNetworksBuilder().setId("n" + i);
          }
        }));
  }

  @Test
  void aRateOfNothingIsNoRate() {
    String receive = "spec.networks[0].rx_rate_limit.bandwidth";
    assertEquals(
        invalid(receive + ".refill_per_second"),
        wrongNetwork(net -> net.getRxRateLimitBuilder().getBandwidthBuilder().setCapacity(1)));
    assertEquals(
        Map.of(
            "spec.networks[0].tx_rate_limit.operations.capacity", "FIELD_INVALID",
            "spec.networks[0].tx_rate_limit.operations.refill_per_second", "FIELD_INVALID"),
        wrongNetwork(
            net -> net.getTxRateLimitBuilder().getOperationsBuilder().setRefillPerSecond(-1)));
  }

  private static Map<String, String> wrongNetwork(Consumer<Network.Builder> change) {
    return wrong(spec -> change.accept(spec.addNetworksBuilder().setId("net0")));
  }

  @Test
  void theRest() {
    assertEquals(
        invalid("spec.console.max_bytes"),
        wrong(spec -> spec.getConsoleBuilder().setMaxBytes((1L << 30) + 1)));
    assertEquals(
        invalid("spec.lifecycle.ttl"),
        wrong(spec -> spec.getLifecycleBuilder().setTtl(Duration.getDefaultInstance())));
    assertEquals(
        invalid("spec.lifecycle.ttl"),
        wrong(spec -> spec.getLifecycleBuilder().getTtlBuilder().setSeconds(-1)));
    assertEquals(
        invalid("spec.lifecycle.stop_grace"),
        wrong(spec -> spec.getLifecycleBuilder().getStopGraceBuilder().setSeconds(3_601)));
    assertEquals(
        invalid("spec.lifecycle.max_run_time"),
        wrong(spec -> spec.getLifecycleBuilder().getMaxRunTimeBuilder().setNanos(1)));
    assertEquals(
        invalid("spec.lifecycle.idle_timeout"),
        wrong(spec -> {
          spec.getVsockBuilder();
          spec.getLifecycleBuilder().getIdleTimeoutBuilder().setSeconds(-1);
        }));
    assertEquals(
        invalid("spec.lifecycle.idle_timeout"),
        wrong(spec -> spec.getLifecycleBuilder().getIdleTimeoutBuilder().setSeconds(60)),
        "nobody can call it");
    assertEquals(
        Map.of(),
        wrong(spec -> {
          spec.getVsockBuilder();
          spec.getLifecycleBuilder().getIdleTimeoutBuilder().setSeconds(60);
          spec.getLifecycleBuilder().getMaxRunTimeBuilder().setSeconds(1);
        }));
    assertEquals(
        invalid("spec.limits.cpu_milli"), wrong(spec -> spec.getLimitsBuilder().setCpuMilli(9)));
    assertEquals(
        Map.of("spec.limits.cpu_milli", "FIELD_INVALID", "spec.limits.cpu_weight", "FIELD_INVALID"),
        wrong(spec -> spec.getLimitsBuilder().setCpuMilli(-1).setCpuWeight(10_001)));
    assertEquals(
        invalid("spec.lifecycle.restart_policy"),
        wrong(spec -> spec.getLifecycleBuilder().setRestartPolicyValue(99)));
    assertEquals(
        Map.of("spec.desired_state", "FIELD_UNSUPPORTED"),
        wrong(spec -> spec.setDesiredState(DesiredState.DESIRED_PAUSED)));
    assertTrue(
        wrong(spec -> spec.getPlacementBuilder().putNodeSelector("a b", "c"))
            .containsKey("spec.placement.node_selector"));
  }
}

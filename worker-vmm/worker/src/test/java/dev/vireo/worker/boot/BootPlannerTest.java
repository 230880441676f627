package dev.vireo.worker.boot;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.vireo.images.ImageDirectory;
import dev.vireo.linux.Errno;
import dev.vireo.linux.Fd;
import dev.vireo.linux.LinuxException;
import dev.vireo.linux.StreamSocket;
import dev.vireo.proto.errors.ErrorReason;
import dev.vireo.proto.v1.Announcement;
import dev.vireo.proto.v1.Architecture;
import dev.vireo.proto.v1.Disk;
import dev.vireo.proto.v1.MemoryBacking;
import dev.vireo.proto.v1.MicroVmSpec;
import dev.vireo.proto.v1.NodeCapabilities;
import dev.vireo.proto.v1.NodeResources;
import dev.vireo.proto.v1.RegisterPageMode;
import dev.vireo.proto.vmm.v1.AnnouncementMode;
import dev.vireo.proto.vmm.v1.BlockDevice;
import dev.vireo.proto.vmm.v1.CreateRequest;
import dev.vireo.proto.vmm.v1.Device;
import dev.vireo.proto.vmm.v1.DiskEngine;
import dev.vireo.worker.node.ProcFiles;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** What a node says to a spec before it does anything about it. */
class BootPlannerTest {
  private static final NodeCapabilities NODE =
      NodeCapabilities.newBuilder()
          .setArchitecture(Architecture.X86_64)
          .setVirtualization("vmx")
          .setRunsLinuxGuests(true)
          .addAnnouncements(Announcement.ACPI)
          .addAnnouncements(Announcement.CMDLINE)
          .setMaxVcpus(8)
          .build();

  @TempDir private Path files;
  private Path elf;
  private BootPlanner planner;

  @BeforeEach
  void makeStore() throws IOException {
    elf = Files.write(files.resolve("vmlinux"), Kernels.elf(62));
    image(
        "debian",
        "guest_kind=linux",
        "announcements=acpi",
        "min_memory_mib=128",
        "initramfs=initramfs",
        "root_disk=root.raw",
        "command_line=console=ttyS0 quiet");
    Files.write(store().resolve("debian/kernel"), Kernels.bzImage());
    Files.writeString(store().resolve("debian/initramfs"), "cpio");
    disk(store().resolve("debian/root.raw"), 1 << 20);
    image("probe", "guest_kind=bare-metal", "announcements=cmdline", "min_memory_mib=16");
    Files.write(store().resolve("probe/kernel"), Kernels.elf(62));
    planner = planner(NODE);
  }

  private BootPlanner planner(NodeCapabilities node) {
    return new BootPlanner(
        Path.of("/dev/null"),
        new ImageDirectory(store()),
        node,
        NodeResources.newBuilder().setCpuMilli(8000).setMemoryMib(1024).build());
  }

  // ---- What is accepted. ----

  /** A kernel image that comes with what a container needs. */
  private MicroVmSpec.Builder container() throws IOException {
    image(
        "small",
        "guest_kind=linux",
        "announcements=acpi",
        "min_memory_mib=128",
        "agent_initramfs=agent.cpio",
        "writable_disk=writable.ext4",
        "command_line=quiet");
    Files.write(store().resolve("small/kernel"), Kernels.bzImage());
    Files.writeString(store().resolve("small/agent.cpio"), "agent");
    disk(store().resolve("small/writable.ext4"), 1 << 20);
    disk(files.resolve("root.squashfs"), 1 << 16);
    MicroVmSpec.Builder spec = spec("small");
    spec.getContainerBuilder().setImage("busybox");
    spec.getVsockBuilder().setCid(3);
    return spec;
  }

  @Test
  void aContainersDisksComeBehindTheSpecsOwnAndItsLayerGrows() throws Exception {
    MicroVmSpec.Builder spec = container();
    disk(files.resolve("data.raw"), 1 << 20);
    spec.addDisksBuilder().setId("data").setSource(files.resolve("data.raw").toString());
    spec.getContainerBuilder().setWritableMib(64);
    Path own = Files.createDirectory(files.resolve("microvm"));
    Optional<Path> root = Optional.of(files.resolve("root.squashfs"));
    try (BootFiles boot = planner.open(spec.build(), root).withPrivateFiles(own)) {
      assertEquals(
          List.of("data", "container-image", "container-writable", "vsock"),
          boot.devices().stream().map(OpenDevice::id).toList());
      assertTrue(disk(boot, 1).readOnly());
      assertEquals(1 << 16, disk(boot, 1).shape().bytes());
      assertEquals(64 << 20, disk(boot, 2).shape().bytes());
      assertEquals(5, boot.initramfs().orElseThrow().size());
      assertEquals(
          "quiet vireo.root=container-image,squashfs vireo.scratch=container-writable,ext4",
          boot.commandLine());
    }
    assertEquals(64 << 20, Files.size(own.resolve("disk-container-writable.raw")));
    assertEquals(1 << 20, Files.size(store().resolve("small/writable.ext4")));
  }

  @Test
  void theAgentIsToldHowManyProcessesThereMayBe() throws Exception {
    MicroVmSpec.Builder spec = container();
    spec.getContainerBuilder().setPidsLimit(64);
    Optional<Path> root = Optional.of(files.resolve("root.squashfs"));
    try (BootFiles boot = planner.open(spec.build(), root)) {
      assertTrue(boot.commandLine().endsWith(",ext4 vireo.pids=64"), boot.commandLine());
    }
  }

  @Test
  void theAgentIsToldThatThereIsMetadata() throws Exception {
    MicroVmSpec.Builder spec = container();
    spec.getBootBuilder().setCommandLine("mine");
    spec.getMetadataBuilder().putAttributes("role", "web");
    Optional<Path> root = Optional.of(files.resolve("root.squashfs"));
    try (BootFiles boot = planner.open(spec.build(), root)) {
      assertTrue(boot.commandLine().endsWith(" vireo.metadata=1 mine"), boot.commandLine());
    }
  }

  @Test
  void aKernelWithoutTheAgentRunsNoContainer() throws Exception {
    MicroVmSpec.Builder spec = container();
    spec.getBootBuilder().setKernel("debian");
    Optional<Path> root = Optional.of(files.resolve("root.squashfs"));
    RejectedException refused =
        assertThrows(RejectedException.class, () -> planner.open(spec.build(), root).close());
    assertEquals(ErrorReason.KERNEL_WITHOUT_AGENT, refused.reason());
    assertEquals("spec.boot.kernel", refused.field());
  }

  @Test
  void anImageBringsItsInitramfsArgumentsAndAnnouncement() throws Exception {
    MicroVmSpec.Builder spec = spec("debian");
    spec.getBootBuilder().setCommandLine("  debug ");
    try (BootFiles boot = planner.open(spec.build())) {
      assertEquals("console=ttyS0 quiet debug", boot.commandLine());
      assertEquals(AnnouncementMode.ANNOUNCE_ACPI, boot.announcement());
      assertEquals(4, boot.initramfs().orElseThrow().size());
      assertEquals(256L << 20, boot.memory().bytes());
    }
    spec.getBootBuilder().setNoInitramfs(true);
    try (BootFiles boot = planner.open(spec.build())) {
      assertTrue(boot.initramfs().isEmpty());
    }
  }

  @Test
  void aKernelFileGetsAConsoleAndWhatItsKindUnderstands() throws Exception {
    try (BootFiles boot = planner.open(spec(elf.toString()).build())) {
      assertEquals("console=ttyS0 panic=-1", boot.commandLine());
      assertEquals(AnnouncementMode.ANNOUNCE_CMDLINE, boot.announcement());
    }
    Path bzImage = Files.write(files.resolve("bzImage"), Kernels.bzImage());
    try (BootFiles boot = planner.open(spec(bzImage.toString()).build())) {
      assertEquals(AnnouncementMode.ANNOUNCE_ACPI, boot.announcement());
    }
  }

  @Test
  void aWritableImageDiskIsCopiedAndAReadOnlyOneShared() throws Exception {
    MicroVmSpec.Builder spec = spec("debian");
    spec.addDisksBuilder().setId("root").setSource("image:");
    spec.addDisksBuilder().setId("same").setSource("image:").setReadOnly(true);
    Path own = Files.createDirectory(files.resolve("microvm"));
    try (BootFiles planned = planner.open(spec.build())) {
      assertEquals(0, own.toFile().list().length, "no side effect yet");
      try (BootFiles boot = planned.withPrivateFiles(own)) {
        OpenDevice.Disk root = disk(boot, 0);
        root.file().writeFully("mine".getBytes(UTF_8), 0);
        assertEquals(1 << 20, root.shape().bytes());
        assertEquals(0, Files.readAllBytes(store().resolve("debian/root.raw"))[0]);
        assertEquals('m', Files.readAllBytes(own.resolve("disk-root.raw"))[0]);
      }
    }
    try (BootFiles again = planner.open(spec.build()).withPrivateFiles(own)) {
      assertEquals('m', Files.readAllBytes(own.resolve("disk-root.raw"))[0], "kept");
      assertEquals(2, again.devices().size());
    }
  }

  @Test
  void aDirectDiskIsOpenTwiceAndSoIsItsCopy() throws Exception {
    MicroVmSpec.Builder spec = spec("debian");
    spec.addDisksBuilder()
        .setId("root")
        .setSource("image:")
        .setDirect(true)
        .setQueues(4)
        .setBackEnd("blk/io-uring");
    Path own = Files.createDirectory(files.resolve("microvm"));
    long before = openFiles();
    try (BootFiles boot = planner.open(spec.build()).withPrivateFiles(own);
        Fd other = Fd.open("/dev/null", Fd.O_RDWR)) {
      BootFiles.Orders orders = boot.orders("uid", other, other);
      BlockDevice block = orders.request().getDevices(0).getBlock();
      assertEquals(Fd.O_DIRECT, openFlags(orders, block.getFileFd()) & Fd.O_DIRECT);
      assertEquals(0, openFlags(orders, block.getCachedFd()) & Fd.O_DIRECT);
      assertEquals(4, block.getQueues());
      assertEquals(DiskEngine.DISK_ENGINE_IO_URING, block.getEngine());
      assertEquals(1 << 20, block.getCapacityBytes());
      assertTrue(block.getLogicalBlockBytes() >= 512);
      assertTrue(block.getPhysicalBlockBytes() >= block.getLogicalBlockBytes());
    }
    assertEquals(before, openFiles());
  }

  private static int openFlags(BootFiles.Orders orders, int index) throws IOException {
    Path info = Path.of("/proc/self/fdinfo/" + orders.descriptors().get(index).number());
    for (String line : Files.readAllLines(info)) {
      if (line.startsWith("flags:")) {
        return Integer.parseInt(line.substring("flags:".length()).strip(), 8);
      }
    }
    throw new AssertionError(info + " has no flags");
  }

  @Test
  void aDiskThatIsNotDirectIsOpenOnceAndHasItsLimits() throws Exception {
    MicroVmSpec.Builder spec = spec("debian");
    Disk.Builder data = spec.addDisksBuilder().setId("data");
    data.setSource(disk("data", 512).toString());
    data.getRateLimitBuilder().getOperationsBuilder().setCapacity(5).setRefillPerSecond(7);
    try (BootFiles boot = planner.open(spec.build());
        Fd other = Fd.open("/dev/null", Fd.O_RDWR)) {
      BlockDevice block = boot.orders("uid", other, other).request().getDevices(0).getBlock();
      assertFalse(block.hasCachedFd());
      assertEquals(1, block.getQueues());
      assertEquals(DiskEngine.DISK_ENGINE_AUTO, block.getEngine());
      assertEquals(512, block.getLogicalBlockBytes());
      assertEquals(7, block.getRateLimit().getOperations().getRefillPerSecond());
      assertFalse(block.getRateLimit().hasBandwidth());
      assertTrue(block.getDiscards());
    }
  }

  /** /proc has files, but none that could be read past a cache. */
  @Test
  void refusesDirectDisksWhereTheFileSystemCannot() {
    MicroVmSpec.Builder spec = spec("debian");
    spec.addDisksBuilder().setId("a").setSource("/proc/cmdline").setReadOnly(true).setDirect(true);
    refused("FIELD_UNSUPPORTED", "spec.disks[0].direct", spec);
  }

  @Test
  void aCopyThatFailsLeavesNothingOpen() throws Exception {
    MicroVmSpec.Builder spec = spec("debian");
    spec.addDisksBuilder().setId("one").setSource("image:");
    spec.addDisksBuilder().setId("two").setSource("image:");
    Path own = Files.createDirectory(files.resolve("microvm"));
    Files.createDirectory(own.resolve("disk-two.partial")); // where the second copy is to be made
    long before = openFiles();
    try (BootFiles planned = planner.open(spec.build())) {
      assertThrows(IOException.class, () -> planned.withPrivateFiles(own));
    }
    assertEquals(before, openFiles());
  }

  @Test
  void theOrdersNameEachDescriptorByItsPlace() throws Exception {
    MicroVmSpec.Builder spec = spec("debian");
    spec.addDisksBuilder().setId("data").setSource(disk("data", 512).toString());
    try (BootFiles boot = planner.open(spec.build());
        Fd other = Fd.open("/dev/null", Fd.O_RDWR)) {
      BootFiles.Orders orders = boot.orders("uid", other, other);
      CreateRequest request = orders.request().build();
      assertEquals(boot.kvm(), orders.descriptors().get(request.getKvmFd()));
      assertEquals(boot.kernel(), orders.descriptors().get(request.getKernel().getKernelFd()));
      assertEquals(
          boot.initramfs().orElseThrow(),
          orders.descriptors().get(request.getKernel().getInitramfsFd()));
      assertEquals(
          disk(boot, 0).file(),
          orders.descriptors().get(request.getDevices(0).getBlock().getFileFd()));
      assertEquals(512, request.getDevices(0).getBlock().getCapacityBytes());
      assertEquals(1 << 20, request.getConsole().getMaxBytes());
      assertEquals(6, orders.descriptors().size());
    }
  }

  @ParameterizedTest
  @EnumSource(
      value = RegisterPageMode.class,
      mode = EnumSource.Mode.EXCLUDE,
      names = {"REGISTER_PAGE_MODE_UNSPECIFIED", "UNRECOGNIZED"})
  void theOrdersHaveTheModeOfTheRegisterPage(RegisterPageMode mode) throws Exception {
    MicroVmSpec.Builder spec = spec("probe");
    spec.getVmmBuilder().setRegisterPage(mode);
    try (BootFiles boot = planner.open(spec.build());
        Fd other = Fd.open("/dev/null", Fd.O_RDWR)) {
      CreateRequest request = boot.orders("uid", other, other).request().build();
      assertEquals(mode.name(), request.getRegisterPage().name());
    }
  }

  @Test
  void memoryIsTheVmmsOwnUnlessTheSpecSaysOtherwise() throws Exception {
    try (BootFiles boot = planner.open(spec("probe").build());
        Fd other = Fd.open("/dev/null", Fd.O_RDWR)) {
      assertFalse(boot.orders("uid", other, other).request().hasMemoryBacking());
    }
  }

  @Test
  void sharedMemoryIsAFileOfItsOwnThatNobodyCanCut() throws Exception {
    MicroVmSpec.Builder spec = spec("probe").setMemoryBacking(MemoryBacking.MEMORY_SHARED);
    try (BootFiles boot = planner.open(spec.build());
        Fd other = Fd.open("/dev/null", Fd.O_RDWR)) {
      BootFiles.Orders orders = boot.orders("uid", other, other);
      assertEquals(256 << 20, orders.request().getMemoryBytes());
      assertEquals(4096, orders.request().getMemoryBacking().getPageBytes());
      Fd file = orders.descriptors().get(orders.request().getMemoryBacking().getMemoryFd());
      assertEquals(256 << 20, file.size());
      assertThrows(LinuxException.class, () -> file.truncate(0));
    }
  }

  @Test
  void hugePagesThatTheNodeDoesNotHaveAreRefusedWithTheirNumber() {
    // A terabyte of them has been set aside nowhere.
    planner =
        new BootPlanner(
            Path.of("/dev/null"),
            new ImageDirectory(store()),
            NODE,
            NodeResources.newBuilder().setMemoryMib(1 << 20).build());
    MicroVmSpec.Builder spec =
        spec("probe").setMemoryMib(1 << 20).setMemoryBacking(MemoryBacking.MEMORY_HUGE_PAGES);
    refused("NODE_RESOURCES_EXHAUSTED", "spec.memory_backing", spec);
    RejectedException refusal =
        assertThrows(RejectedException.class, () -> planner.open(spec.build()).close());
    assertTrue(refusal.sentence().startsWith("524288 huge pages of 2 MiB are needed and "));
    assertTrue(refusal.sentence().contains("sysctl -w vm.nr_hugepages"), refusal.sentence());
  }

  @Test
  void hugePagesThatTheNodeHasAreReserved() throws Exception {
    long free = ProcFiles.hugePagesFree();
    assumeTrue(free >= 8, "this test needs 8 huge pages: sysctl -w vm.nr_hugepages=8");
    MicroVmSpec.Builder spec =
        spec("probe").setMemoryMib(16).setMemoryBacking(MemoryBacking.MEMORY_HUGE_PAGES);
    try (BootFiles boot = planner.open(spec.build())) {
      assertEquals(2 << 20, boot.memory().pageBytes());
      assertEquals(free - 8, ProcFiles.hugePagesFree());
    }
    assertEquals(free, ProcFiles.hugePagesFree());
  }

  @Test
  void hugePagesThatCanBePluggedAreNotReserved() throws Exception {
    long free = ProcFiles.hugePagesFree();
    assumeTrue(free >= 8, "this test needs 8 huge pages: sysctl -w vm.nr_hugepages=8");
    MicroVmSpec.Builder spec =
        spec("probe").setMemoryMib(16).setMemoryBacking(MemoryBacking.MEMORY_HUGE_PAGES);
    spec.getMemoryHotplugBuilder().setMaximumMib(256);
    try (BootFiles boot = planner.open(spec.build())) {
      assertEquals(272 << 20, boot.memory().file().orElseThrow().size());
      assertEquals(free - 8, ProcFiles.hugePagesFree());
    }
  }

  @Test
  void memoryThatCannotBeHadIsRefused() {
    MicroVmSpec spec =
        MicroVmSpec.newBuilder()
            .setMemoryMib(1L << 43) // In bytes, a negative length.
            .setMemoryBacking(MemoryBacking.MEMORY_SHARED)
            .build();
    RejectedException refused =
        assertThrows(RejectedException.class, () -> OpenMemory.open(spec).close());
    assertEquals(ErrorReason.NODE_RESOURCES_EXHAUSTED, refused.reason());
    assertEquals("spec.memory_backing", refused.field());
  }

  @Test
  void refusesABackingOfMemoryThatItDoesNotKnow() {
    refused("FIELD_UNSUPPORTED", "spec.memory_backing", spec("probe").setMemoryBackingValue(99));
  }

  @Test
  void refusesAModeOfTheRegisterPageThatItDoesNotKnow() {
    MicroVmSpec.Builder spec = spec("probe");
    spec.getVmmBuilder().setRegisterPageValue(99);
    refused("FIELD_UNSUPPORTED", "spec.vmm.register_page", spec);
  }

  @Test
  void refusesACompilerThatItDoesNotKnow() {
    MicroVmSpec.Builder spec = spec("probe");
    spec.getVmmBuilder().setCompilerValue(99);
    refused("FIELD_UNSUPPORTED", "spec.vmm.compiler", spec);
  }

  @Test
  void disksHaveTheFirstSlotsWhateverElseThereIs() throws Exception {
    MicroVmSpec.Builder spec = spec("probe");
    spec.getEntropyBuilder()
        .getRateLimitBuilder()
        .getOperationsBuilder()
        .setCapacity(7)
        .setRefillPerSecond(5);
    spec.getVsockBuilder().setCid(3);
    spec.addDisksBuilder().setId("data").setSource(disk("data", 512).toString());
    Path own = Files.createDirectory(files.resolve("microvm"));
    try (BootFiles boot = planner.open(spec.build()).withPrivateFiles(own);
        Fd other = Fd.open("/dev/null", Fd.O_RDWR)) {
      CreateRequest request = boot.orders("uid", other, other).request().build();
      assertEquals(
          List.of("data", "vsock", "entropy"),
          request.getDevicesList().stream().map(Device::getId).toList());
      var operations = request.getDevices(2).getEntropy().getRateLimit().getOperations();
      assertEquals(7, operations.getCapacity());
      assertEquals(5, operations.getRefillPerSecond());
    }
  }

  @Test
  void aBalloonIsAsTheSpecHasIt() throws Exception {
    MicroVmSpec.Builder spec = spec("probe");
    spec.getBalloonBuilder().setTargetMib(5).setDeflateOnOom(true);
    spec.getBalloonBuilder().getStatisticsIntervalBuilder().setSeconds(2).setNanos(500_000_000);
    try (BootFiles boot = planner.open(spec.build());
        Fd other = Fd.open("/dev/null", Fd.O_RDWR)) {
      Device device = boot.orders("uid", other, other).request().getDevices(0);
      assertEquals("balloon", device.getId());
      assertEquals(5 << 20, device.getBalloon().getTargetBytes());
      assertEquals(2_500, device.getBalloon().getStatisticsIntervalMs());
      assertTrue(device.getBalloon().getDeflateOnOom());
      assertFalse(device.getBalloon().getFreePageReporting());
    }
  }

  @Test
  void pluggableMemoryIsAsTheSpecHasIt() throws Exception {
    MicroVmSpec.Builder spec = spec("probe").setMemoryMib(16);
    spec.getMemoryHotplugBuilder().setMaximumMib(128).setSizeMib(6);
    spec.getBootBuilder().setCommandLine("mine");
    try (BootFiles boot = planner.open(spec.build());
        Fd other = Fd.open("/dev/null", Fd.O_RDWR)) {
      var request = boot.orders("uid", other, other).request();
      Device device = request.getDevices(0);
      assertEquals("memory", device.getId());
      assertEquals(128 << 20, device.getMemory().getMaximumBytes());
      assertEquals(2 << 20, device.getMemory().getBlockBytes());
      assertEquals(6 << 20, device.getMemory().getRequestedBytes());
      assertEquals(16 << 20, request.getMemoryBytes());
      // Linux takes it into use; whoever knows better has the last word.
      assertEquals(
          "memhp_default_state=online memory_hotplug.online_policy=auto-movable mine",
          request.getKernel().getCommandLine());
    }
  }

  @Test
  void aFileHasRoomForWhatCanBePlugged() throws Exception {
    MicroVmSpec.Builder spec =
        spec("probe").setMemoryMib(16).setMemoryBacking(MemoryBacking.MEMORY_SHARED);
    spec.getMemoryHotplugBuilder().setMaximumMib(128);
    try (BootFiles boot = planner.open(spec.build())) {
      assertEquals(16 << 20, boot.memory().bytes());
      assertEquals(144 << 20, boot.memory().file().orElseThrow().size());
    }
  }

  @Test
  void refusesMoreThanTheNodeHasWithWhatCanBePlugged() {
    MicroVmSpec.Builder spec = spec("probe");
    spec.getMemoryHotplugBuilder().setMaximumMib(1 << 20);
    refused("NODE_RESOURCES_EXHAUSTED", "spec.memory_hotplug.maximum_mib", spec);
  }

  @Test
  void aVsockDeviceListensInTheMicroVmsDirectory() throws Exception {
    MicroVmSpec.Builder spec = spec("probe");
    spec.getVsockBuilder().setCid(42);
    Path own = Files.createDirectory(files.resolve("microvm"));
    for (int run = 0; run < 2; run++) {
      try (BootFiles boot = planner.open(spec.build()).withPrivateFiles(own);
          Fd other = Fd.open("/dev/null", Fd.O_RDWR)) {
        BootFiles.Orders orders = boot.orders("uid", other, other);
        var vsock = orders.request().getDevices(0).getVsock();
        assertEquals(42, vsock.getGuestCid());
        Fd listener = orders.descriptors().get(vsock.getListenerFd());
        StreamSocket calls = new StreamSocket();
        assertEquals(-Errno.EAGAIN, calls.accept(listener), "it does not wait");
        try (Fd client = StreamSocket.connect(own.resolve("vsock").toString());
            Fd accepted = Fd.owning(calls.accept(listener))) {
          assertTrue(client.number() != accepted.number());
        }
      }
    }
  }

  @Test
  void eachConsolePortListensInTheMicroVmsDirectory() throws Exception {
    MicroVmSpec.Builder spec = spec("probe");
    var console = spec.getVirtioConsoleBuilder();
    console.addPortsBuilder().setName("hvc0").setConsole(true).getSizeBuilder().setColumns(80);
    console.addPortsBuilder().setName("org.example.agent");
    console.getTxRateLimitBuilder().getBandwidthBuilder().setCapacity(7).setRefillPerSecond(5);
    Path own = Files.createDirectory(files.resolve("microvm"));
    for (int run = 0; run < 2; run++) {
      try (BootFiles boot = planner.open(spec.build()).withPrivateFiles(own);
          Fd other = Fd.open("/dev/null", Fd.O_RDWR)) {
        BootFiles.Orders orders = boot.orders("uid", other, other);
        var device = orders.request().getDevices(0).getConsole();
        assertEquals(5, device.getTxRateLimit().getBandwidth().getRefillPerSecond());
        assertEquals(80, device.getPorts(0).getSize().getColumns());
        assertTrue(device.getPorts(0).getConsole());
        assertEquals(false, device.getPorts(1).getConsole());
        StreamSocket calls = new StreamSocket();
        for (int i = 0; i < device.getPortsCount(); i++) {
          Fd listener = orders.descriptors().get(device.getPorts(i).getListenerFd());
          assertEquals(-Errno.EAGAIN, calls.accept(listener), "it does not wait");
          try (Fd client = StreamSocket.connect(own.resolve("console-" + i).toString());
              Fd accepted = Fd.owning(calls.accept(listener))) {
            assertTrue(client.number() != accepted.number());
          }
        }
      }
    }
  }

  @Test
  void disksMayBeReachedThroughLinks() throws Exception {
    Path link = Files.createSymbolicLink(files.resolve("link"), disk("data", 1024));
    MicroVmSpec.Builder spec = spec("probe");
    spec.addDisksBuilder().setId("data").setSource(link.toString());
    try (BootFiles boot = planner.open(spec.build())) {
      assertEquals(1024, disk(boot, 0).shape().bytes());
    }
  }

  // ---- What is refused. ----

  @Test
  void refusesKernelsThatAreNone() throws Exception {
    refused("KERNEL_NOT_FOUND", "spec.boot.kernel", spec("windows"));
    refused("KERNEL_NOT_FOUND", "spec.boot.kernel", spec("../debian/kernel"));
    refused("KERNEL_NOT_FOUND", "spec.boot.kernel", spec("/no/such/file"));
    refused("KERNEL_INVALID", "spec.boot.kernel", spec(files.toString()));
    refused("KERNEL_INVALID", "spec.boot.kernel", spec("/dev/null"));
    Path script = Files.writeString(files.resolve("script"), "#!/bin/sh");
    refused("KERNEL_INVALID", "spec.boot.kernel", spec(script.toString()));
  }

  /** Linux reads no byte of address 0 there: EIO. */
  @Test
  void aKernelThatCannotBeReadIsRefusedAndLeavesNothingOpen() throws Exception {
    long before = openFiles();
    refused("KERNEL_INVALID", "spec.boot.kernel", spec("/proc/self/mem"));
    assertEquals(before, openFiles());
  }

  @Test
  void aTruncatedBzImageIsRefusedAsSuchAlsoWhereNoneBoots() throws Exception {
    byte[] bzImage = Kernels.bzImage();
    bzImage[0x1f4] = 97; // syssize, in 16 bytes: one more than there are behind the setup code
    Path kernel = Files.write(files.resolve("bzImage"), bzImage);
    planner = planner(NODE.toBuilder().setRunsLinuxGuests(false).build());

    refused("KERNEL_INVALID", "spec.boot.kernel", spec(kernel.toString()));
    bzImage[0x1f4]--;
    Files.write(kernel, bzImage);
    refused("GUEST_NEEDS_HARDWARE_VIRTUALIZATION", "spec.boot.kernel", spec(kernel.toString()));
  }

  @Test
  void aFifoDoesNotHoldTheWorkerUp() throws Exception {
    Path fifo = files.resolve("fifo");
    assertEquals(0, new ProcessBuilder("mkfifo", fifo.toString()).start().waitFor());
    refused("KERNEL_INVALID", "spec.boot.kernel", spec(fifo.toString()));
    refusedDisk("DISK_INVALID", fifo.toString(), true);
  }

  @Test
  void refusesOtherArchitectures() throws Exception {
    Path arm = Files.write(files.resolve("Image"), Kernels.arm64Image());
    refused("KERNEL_WRONG_ARCHITECTURE", "spec.boot.kernel", spec(arm.toString()));
    refused(
        "KERNEL_WRONG_ARCHITECTURE",
        "spec.boot.kernel",
        spec("probe").setArchitecture(Architecture.ARM64));
  }

  @Test
  void refusesLinuxWhereItCannotBoot() throws Exception {
    planner = planner(NODE.toBuilder().setRunsLinuxGuests(false).setVirtualization("pvm").build());
    refused("GUEST_NEEDS_HARDWARE_VIRTUALIZATION", "spec.boot.kernel", spec("debian"));
    planner.open(spec("probe").build()).close();
    planner.open(spec(elf.toString()).build()).close();
  }

  @Test
  void refusesSizesThatTheNodeOrTheKernelDoesNotHave() {
    refused("NODE_RESOURCES_EXHAUSTED", "spec.vcpus", spec("probe").setVcpus(0));
    refused("NODE_RESOURCES_EXHAUSTED", "spec.vcpus", spec("probe").setVcpus(9));
    refused("NODE_RESOURCES_EXHAUSTED", "spec.vcpus", spec("probe").setVcpus(-1));
    refused("NODE_RESOURCES_EXHAUSTED", "spec.memory_mib", spec("probe").setMemoryMib(1025));
    refused("NODE_RESOURCES_EXHAUSTED", "spec.memory_mib", spec("probe").setMemoryMib(-1));
    refused("MEMORY_TOO_SMALL", "spec.memory_mib", spec("debian").setMemoryMib(127));
  }

  @Test
  void refusesAnInitramfsThatIsNone() {
    refused("INITRAMFS_NOT_FOUND", "spec.boot.initramfs", initramfs("/no/such/file"));
    refused("INITRAMFS_NOT_FOUND", "spec.boot.initramfs", initramfs("relative"));
    refused("INITRAMFS_NOT_FOUND", "spec.boot.initramfs", initramfs(files.toString()));
  }

  @Test
  void refusesAnAnnouncementThatTheKernelDoesNotUnderstand() {
    MicroVmSpec.Builder spec = spec("debian");
    spec.getBootBuilder().setAnnouncement(Announcement.CMDLINE);
    refused("ANNOUNCEMENT_UNSUPPORTED", "spec.boot.announcement", spec);
    spec.getBootBuilder().setAnnouncement(Announcement.FDT);
    refused("ANNOUNCEMENT_UNSUPPORTED", "spec.boot.announcement", spec);
  }

  @Test
  void refusesDisksThatAreNone() throws Exception {
    refusedDisk("DISK_NOT_FOUND", "/no/such/file", false);
    refusedDisk("DISK_NOT_FOUND", "relative", false);
    refusedDisk("DISK_NOT_FOUND", "image:", false);
    refusedDisk("DISK_INVALID", files.toString(), false);
    refusedDisk("DISK_INVALID", files.toString(), true);
    refusedDisk("DISK_INVALID", "/dev/null", false);
    refusedDisk("DISK_INVALID", disk("odd", 1000).toString(), false);
    refusedDisk("DISK_INVALID", disk("empty", 0).toString(), true);
  }

  @Test
  void theCommandLineCountsWithWhatVireoAdds() throws Exception {
    MicroVmSpec.Builder spec = spec("probe");
    spec.addDisksBuilder().setId("a").setSource(disk("a", 512).toString());
    spec.getEntropyBuilder();
    String announcement = "virtio_mmio.device=4K@0xd0000000:5 virtio_mmio.device=4K@0xd0001000:6";
    spec.getBootBuilder().setCommandLine("x".repeat(2047 - 1 - announcement.length()));
    planner.open(spec.build()).close();
    spec.getBootBuilder().setCommandLine("x".repeat(2047 - announcement.length()));
    refused("COMMAND_LINE_TOO_LONG", "spec.boot.command_line", spec);
  }

  @Test
  void withoutKvmNothingRuns() {
    planner =
        new BootPlanner(
            files.resolve("kvm"),
            new ImageDirectory(store()),
            NODE,
            NodeResources.newBuilder().setMemoryMib(1024).build());
    refused("KVM_UNAVAILABLE", "", spec("probe"));
  }

  @Test
  void aRefusalLeavesNothingOpen() throws Exception {
    long before = openFiles();
    for (int i = 0; i < 10; i++) {
      refusedDisk("DISK_NOT_FOUND", "/no/such/file", false);
    }
    assertEquals(before, openFiles());
  }

  // ---- What the tests are made of. ----

  private static long openFiles() throws IOException {
    try (var descriptors = Files.list(Path.of("/proc/self/fd"))) {
      return descriptors.count();
    }
  }

  private static OpenDevice.Disk disk(BootFiles boot, int slot) {
    return (OpenDevice.Disk) boot.devices().get(slot);
  }

  private void refusedDisk(String reason, String source, boolean readOnly) {
    MicroVmSpec.Builder spec = spec("probe");
    spec.addDisksBuilder().setId("good").setSource(elf.toString());
    spec.addDisksBuilder().setId("bad").setSource(source).setReadOnly(readOnly);
    refused(reason, "spec.disks[1].source", spec);
  }

  private void refused(String reason, String field, MicroVmSpec.Builder spec) {
    RejectedException refusal =
        assertThrows(RejectedException.class, () -> planner.open(spec.build()).close());
    assertEquals(reason, refusal.reason().name(), refusal.sentence());
    assertEquals(field, refusal.field());
  }

  private static MicroVmSpec.Builder spec(String kernel) {
    MicroVmSpec.Builder spec = MicroVmSpec.newBuilder().setVcpus(1).setMemoryMib(256);
    spec.getBootBuilder().setKernel(kernel);
    return spec;
  }

  private static MicroVmSpec.Builder initramfs(String path) {
    MicroVmSpec.Builder spec = spec("probe");
    spec.getBootBuilder().setInitramfs(path);
    return spec;
  }

  private Path store() {
    return files.resolve("images");
  }

  private void image(String name, String... properties) throws IOException {
    Path directory = Files.createDirectories(store().resolve(name));
    String common = "name=%s\narchitecture=x86_64\nkernel=kernel\n".formatted(name);
    Files.writeString(
        directory.resolve("image.properties"), common + String.join("\n", properties) + "\n");
  }

  private Path disk(String name, long bytes) throws IOException {
    return disk(files.resolve(name), bytes);
  }

  private static Path disk(Path path, long bytes) throws IOException {
    try (RandomAccessFile file = new RandomAccessFile(path.toFile(), "rw")) {
      file.setLength(bytes);
    }
    return path;
  }
}

package dev.vireo.worker.boot;

import static dev.vireo.proto.errors.ErrorReason.ANNOUNCEMENT_UNSUPPORTED;
import static dev.vireo.proto.errors.ErrorReason.COMMAND_LINE_TOO_LONG;
import static dev.vireo.proto.errors.ErrorReason.CONTAINER_IMAGE_NOT_FOUND;
import static dev.vireo.proto.errors.ErrorReason.DISK_INVALID;
import static dev.vireo.proto.errors.ErrorReason.DISK_NOT_FOUND;
import static dev.vireo.proto.errors.ErrorReason.FIELD_UNSUPPORTED;
import static dev.vireo.proto.errors.ErrorReason.GUEST_NEEDS_HARDWARE_VIRTUALIZATION;
import static dev.vireo.proto.errors.ErrorReason.INITRAMFS_NOT_FOUND;
import static dev.vireo.proto.errors.ErrorReason.KERNEL_INVALID;
import static dev.vireo.proto.errors.ErrorReason.KERNEL_NOT_FOUND;
import static dev.vireo.proto.errors.ErrorReason.KERNEL_WITHOUT_AGENT;
import static dev.vireo.proto.errors.ErrorReason.KERNEL_WRONG_ARCHITECTURE;
import static dev.vireo.proto.errors.ErrorReason.KVM_UNAVAILABLE;
import static dev.vireo.proto.errors.ErrorReason.MEMORY_TOO_SMALL;
import static dev.vireo.proto.errors.ErrorReason.NODE_RESOURCES_EXHAUSTED;
import static dev.vireo.proto.errors.ErrorReason.VMM_FAILED;
import static java.nio.charset.StandardCharsets.UTF_8;

import dev.vireo.catalog.BackEnd;
import dev.vireo.catalog.CommandLineAnnouncement;
import dev.vireo.catalog.ContainerDisks;
import dev.vireo.catalog.HotplugMemory;
import dev.vireo.catalog.MmioPlan;
import dev.vireo.images.DeviceAnnouncement;
import dev.vireo.images.GuestImage;
import dev.vireo.images.GuestKind;
import dev.vireo.images.ImageDirectory;
import dev.vireo.images.ImageException;
import dev.vireo.linux.DiskShape;
import dev.vireo.linux.Errno;
import dev.vireo.linux.Fd;
import dev.vireo.linux.LinuxException;
import dev.vireo.proto.errors.ErrorReason;
import dev.vireo.proto.v1.Announcement;
import dev.vireo.proto.v1.Architecture;
import dev.vireo.proto.v1.Balloon;
import dev.vireo.proto.v1.Container;
import dev.vireo.proto.v1.Disk;
import dev.vireo.proto.v1.MemoryHotplug;
import dev.vireo.proto.v1.MicroVmSpec;
import dev.vireo.proto.v1.NodeCapabilities;
import dev.vireo.proto.v1.NodeResources;
import dev.vireo.proto.v1.VmmCompiler;
import dev.vireo.proto.vmm.v1.AnnouncementMode;
import dev.vireo.proto.vmm.v1.DiskEngine;
import dev.vireo.proto.vmm.v1.RateLimit;
import dev.vireo.proto.vmm.v1.RegisterPageMode;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.function.Function;

/**
 * Turns a spec into open files, or refuses it. Whatever can be known without side effects is
 * checked here, on the descriptors that the VMM will get, so that nothing changes between check and
 * use.
 */
public final class BootPlanner {
  private static final long MIB = 1 << 20;
  private static final int SECTOR_BYTES = 512;
  private static final int MAX_COMMAND_LINE_BYTES = 2047;

  /**
   * Linux takes memory that is plugged into use by itself, as memory that can be unplugged again:
   * up to three times as much as it has for other purposes.
   */
  private static final String HOTPLUG_ARGUMENTS =
      "memhp_default_state=online memory_hotplug.online_policy=auto-movable";

  /** Where the guest's agent finds the root file system, and the layer above it. */
  private static final String CONTAINER_ARGUMENTS =
      "vireo.root=%s,squashfs vireo.scratch=%s,ext4"
          .formatted(ContainerDisks.IMAGE, ContainerDisks.WRITABLE);

  /** Has it limit the processes of the guest besides its own. */
  private static final String PIDS_ARGUMENT = "vireo.pids=";

  /** Has it serve the microVM's metadata to the guest ({@code agent.proto}). */
  private static final String METADATA_ARGUMENT = "vireo.metadata=1";

  private static final long DEFAULT_WRITABLE_MIB = 1024;

  /** For kernels that come without an image's own arguments. */
  private static final String FILE_KERNEL_ARGUMENTS = "console=ttyS0 panic=-1";

  private static final String IMAGE_DISK = "image:";

  /** O_NONBLOCK: opening a FIFO must not wait for its other end. */
  private static final int READ = Fd.O_RDONLY | Fd.O_NONBLOCK;

  private static final int READ_WRITE = Fd.O_RDWR | Fd.O_NONBLOCK;

  private final Path kvmDevice;
  private final KnownImages images;
  private final NodeCapabilities node;
  private final NodeResources capacity;

  /**
   * @param kvmDevice {@code /dev/kvm}
   * @param capacity all that the node has; what is free of it is not looked at here
   */
  public BootPlanner(
      Path kvmDevice, ImageDirectory images, NodeCapabilities node, NodeResources capacity) {
    this.kvmDevice = kvmDevice;
    this.images = new KnownImages(images);
    this.node = node;
    this.capacity = capacity;
  }

  /** As {@link #open(MicroVmSpec, Optional)}, without a container. */
  public BootFiles open(MicroVmSpec spec) throws RejectedException {
    return open(spec, Optional.empty());
  }

  /**
   * Checks the spec and opens what it names.
   *
   * @param containerRoot the root file system of the spec's container, if it has one
   * @throws RejectedException with everything closed again
   */
  public BootFiles open(MicroVmSpec spec, Optional<Path> containerRoot) throws RejectedException {
    checkSize(spec);
    checkCompiler(spec);
    List<Fd> opened = new ArrayList<>();
    try {
      Fd kvm = openFile(kvmDevice.toString(), READ_WRITE, KVM_UNAVAILABLE, "", opened);
      Source source = openKernel(spec, opened);
      checkKernel(spec, source);
      Optional<Fd> initramfs = openInitramfs(spec, source, opened);
      AnnouncementMode announcement = announcement(spec, source);
      List<OpenDevice> devices = openDevices(spec, source, containerRoot, opened);
      OpenMemory memory = OpenMemory.open(spec);
      memory.file().ifPresent(opened::add);
      return new BootFiles(
          kvm,
          spec.getVcpus(),
          memory,
          source.kernel,
          initramfs,
          commandLine(spec, source, announcement, devices.size()),
          announcement,
          registerPage(spec),
          devices,
          BootFiles.consoleMaxBytes(spec),
          spec.getConsole().getReadyMarker());
    } catch (LinuxException e) {
      opened.forEach(Fd::close);
      throw new RejectedException(
          VMM_FAILED, "", "cannot open what the spec names: " + e.getMessage());
    } catch (RejectedException | RuntimeException e) {
      opened.forEach(Fd::close);
      throw e;
    }
  }

  /** A kernel's descriptor, what it is, and the image that it belongs to, if any. */
  private record Source(Fd kernel, KernelFormat format, Optional<GuestImage> image) {

    boolean isLinux() {
      // A kernel file that is an ELF may be bare-metal: its owner knows.
      return image
          .map(known -> known.guestKind() == GuestKind.LINUX)
          .orElse(format.kind() != KernelFormat.Kind.ELF);
    }

    /** What the kernel understands, the preferred one first. */
    List<AnnouncementMode> announcements() {
      if (image.isPresent()) {
        return image.get().announcements().stream().map(BootPlanner::mode).toList();
      }
      return switch (format.kind()) {
        // Distributions build bzImages, with ACPI and without CMDLINE_DEVICES; whoever hands over
        // a vmlinux built it for microVMs.
        case BZ_IMAGE -> List.of(AnnouncementMode.ANNOUNCE_ACPI, AnnouncementMode.ANNOUNCE_CMDLINE);
        case ELF -> List.of(AnnouncementMode.ANNOUNCE_CMDLINE, AnnouncementMode.ANNOUNCE_ACPI);
        case ARM64_IMAGE -> List.of(AnnouncementMode.ANNOUNCE_FDT);
      };
    }
  }

  private void checkSize(MicroVmSpec spec) throws RejectedException {
    if (spec.getVcpus() < 1 || spec.getVcpus() > node.getMaxVcpus()) {
      throw new RejectedException(
          NODE_RESOURCES_EXHAUSTED,
          "spec.vcpus",
          "%d vCPUs: a microVM on this node has 1 to %d"
              .formatted(Integer.toUnsignedLong(spec.getVcpus()), node.getMaxVcpus()));
    }
    if (Long.compareUnsigned(spec.getMemoryMib(), capacity.getMemoryMib()) > 0) {
      throw new RejectedException(
          NODE_RESOURCES_EXHAUSTED,
          "spec.memory_mib",
          "%s MiB: this node has %d MiB for guests"
              .formatted(Long.toUnsignedString(spec.getMemoryMib()), capacity.getMemoryMib()));
    }
    if (OpenMemory.mostMib(spec) > capacity.getMemoryMib()) {
      throw new RejectedException(
          NODE_RESOURCES_EXHAUSTED,
          "spec.memory_hotplug.maximum_mib",
          "%d MiB with memory_mib: this node has %d MiB for guests"
              .formatted(OpenMemory.mostMib(spec), capacity.getMemoryMib()));
    }
  }

  private Source openKernel(MicroVmSpec spec, List<Fd> opened) throws RejectedException {
    String kernel = spec.getBoot().getKernel();
    Optional<GuestImage> image = image(kernel);
    Fd file =
        openFile(
            image.map(GuestImage::kernel).map(Path::toString).orElse(kernel),
            READ,
            KERNEL_NOT_FOUND,
            "spec.boot.kernel",
            opened);
    if (file.type() != Fd.Type.REGULAR) {
      throw new RejectedException(
          KERNEL_INVALID,
          "spec.boot.kernel",
          "%s is a %s, not a file".formatted(kernel, words(file.type())));
    }
    KernelFormat format =
        recognize(kernel, file)
            .orElseThrow(() ->
                new RejectedException(
                    KERNEL_INVALID,
                    "spec.boot.kernel",
                    kernel + " is no bzImage, ELF or arm64 Image"));
    checkWhole(kernel, file.size(), format.leastBytes());
    return new Source(file, format, image);
  }

  private static void checkWhole(String kernel, long bytes, long leastBytes)
      throws RejectedException {
    if (bytes < leastBytes) {
      throw new RejectedException(
          KERNEL_INVALID,
          "spec.boot.kernel",
          "%s is truncated: it has %d bytes, its header tells of %d"
              .formatted(kernel, bytes, leastBytes));
    }
  }

  private Optional<GuestImage> image(String kernel) throws RejectedException {
    if (kernel.startsWith("/")) {
      return Optional.empty();
    }
    try {
      Optional<GuestImage> image = images.find(kernel);
      if (image.isEmpty()) {
        throw new RejectedException(
            KERNEL_NOT_FOUND,
            "spec.boot.kernel",
            "\"%s\" is no image of this node (%s) and no absolute path"
                .formatted(kernel, imageNames()));
      }
      return image;
    } catch (ImageException e) {
      throw new RejectedException(
          KERNEL_NOT_FOUND,
          "spec.boot.kernel",
          "image \"%s\": %s".formatted(kernel, e.getMessage()));
    }
  }

  private String imageNames() throws ImageException {
    List<String> names = images.names();
    return names.isEmpty() ? "it has none" : "it has " + String.join(", ", names);
  }

  private static Optional<KernelFormat> recognize(String kernel, Fd file) throws RejectedException {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment header = arena.allocate(KernelFormat.HEADER_BYTES);
      long length = file.readFully(header, 0);
      return KernelFormat.recognize(header.asSlice(0, length).asByteBuffer());
    } catch (LinuxException e) {
      throw new RejectedException(
          KERNEL_INVALID,
          "spec.boot.kernel",
          "cannot read %s: %s".formatted(kernel, Errno.describe(e.errno())));
    }
  }

  private void checkKernel(MicroVmSpec spec, Source source) throws RejectedException {
    String kernel = spec.getBoot().getKernel();
    Architecture wanted = spec.getArchitecture();
    Architecture found = source.format.architecture();
    if (found == null
        || (wanted != Architecture.ARCHITECTURE_UNSPECIFIED && wanted != found)
        || found != node.getArchitecture()) {
      throw new RejectedException(
          KERNEL_WRONG_ARCHITECTURE,
          "spec.boot.kernel",
          "%s is for %s; the microVM is to be %s, this node is %s"
              .formatted(
                  kernel,
                  found == null ? "an architecture that Vireo does not know" : found,
                  wanted == Architecture.ARCHITECTURE_UNSPECIFIED ? "of its kernel's" : wanted,
                  node.getArchitecture()));
    }
    if (source.isLinux() && !node.getRunsLinuxGuests()) {
      throw new RejectedException(
          GUEST_NEEDS_HARDWARE_VIRTUALIZATION,
          "spec.boot.kernel",
          "%s is a Linux kernel, and this node's KVM (%s) cannot boot one"
              .formatted(kernel, node.getVirtualization()));
    }
    int least = source.image.map(GuestImage::minMemoryMib).orElse(0);
    if (spec.getMemoryMib() < least) {
      throw new RejectedException(
          MEMORY_TOO_SMALL,
          "spec.memory_mib",
          "%d MiB: %s needs at least %d MiB".formatted(spec.getMemoryMib(), kernel, least));
    }
  }

  private static Optional<Fd> openInitramfs(MicroVmSpec spec, Source source, List<Fd> opened)
      throws RejectedException {
    if (spec.hasContainer()) {
      String agent = ofKernel(spec, source, GuestImage::agentInitramfs).toString();
      return Optional.of(openFile(agent, READ, KERNEL_WITHOUT_AGENT, "spec.boot.kernel", opened));
    }
    String named = spec.getBoot().getInitramfs();
    String path = named;
    if (path.isEmpty()) {
      Optional<Path> ofImage = source.image.flatMap(GuestImage::initramfs);
      if (ofImage.isEmpty() || spec.getBoot().getNoInitramfs()) {
        return Optional.empty();
      }
      path = ofImage.get().toString();
    }
    Fd file = openFile(path, READ, INITRAMFS_NOT_FOUND, "spec.boot.initramfs", opened);
    if (file.type() != Fd.Type.REGULAR) {
      throw new RejectedException(
          INITRAMFS_NOT_FOUND,
          "spec.boot.initramfs",
          "%s is a %s, not a file".formatted(path, words(file.type())));
    }
    return Optional.of(file);
  }

  /** What a kernel's image must have for a container to be run by it. */
  private static Path ofKernel(
      MicroVmSpec spec, Source source, Function<GuestImage, Optional<Path>> file)
      throws RejectedException {
    return source
        .image
        .flatMap(file)
        .orElseThrow(() ->
            new RejectedException(
                KERNEL_WITHOUT_AGENT,
                "spec.boot.kernel",
                "%s comes without the agent that starts a container's process"
                    .formatted(spec.getBoot().getKernel())));
  }

  private AnnouncementMode announcement(MicroVmSpec spec, Source source) throws RejectedException {
    List<AnnouncementMode> offered =
        node.getAnnouncementsList().stream().flatMap(mode -> mode(mode).stream()).toList();
    List<AnnouncementMode> possible =
        source.announcements().stream().filter(offered::contains).toList();
    Optional<AnnouncementMode> wanted = mode(spec.getBoot().getAnnouncement());
    return possible.stream()
        .filter(mode -> wanted.isEmpty() || mode == wanted.get())
        .findFirst()
        .orElseThrow(() ->
            new RejectedException(
                ANNOUNCEMENT_UNSUPPORTED,
                "spec.boot.announcement",
                "%s: kernel %s understands %s, this node offers %s"
                    .formatted(
                        spec.getBoot().getAnnouncement(),
                        spec.getBoot().getKernel(),
                        source.announcements(),
                        offered)));
  }

  /** Disks first, so that no other device moves them to other slots. */
  private static List<OpenDevice> openDevices(
      MicroVmSpec spec, Source source, Optional<Path> containerRoot, List<Fd> opened)
      throws RejectedException {
    List<OpenDevice> devices = new ArrayList<>();
    for (int i = 0; i < spec.getDisksCount(); i++) {
      devices.add(openDisk(spec.getDisks(i), "spec.disks[" + i + "]", source, opened));
    }
    if (spec.hasContainer()) {
      devices.add(containerRoot(containerRoot.orElseThrow(), opened));
      Path template = ofKernel(spec, source, GuestImage::writableDisk);
      devices.add(writableLayer(spec.getContainer(), template, opened));
    }
    for (int i = 0; i < spec.getNetworksCount(); i++) {
      OpenDevice.Network network =
          NetworkPlanner.open(spec.getNetworks(i), "spec.networks[" + i + "]");
      opened.addAll(network.tap().queues());
      devices.add(network);
    }
    if (spec.hasVsock()) {
      devices.add(new OpenDevice.Vsock(spec.getVsock().getCid(), null));
    }
    if (spec.hasEntropy()) {
      devices.add(new OpenDevice.Entropy(RateLimits.of(spec.getEntropy().getRateLimit())));
    }
    if (spec.hasBalloon()) {
      devices.add(balloon(spec.getBalloon()));
    }
    if (spec.hasVirtioConsole()) {
      devices.add(new OpenDevice.Console(spec.getVirtioConsole(), List.of()));
    }
    if (spec.hasMemoryHotplug()) {
      devices.add(memory(spec.getMemoryHotplug()));
    }
    return List.copyOf(devices);
  }

  private static OpenDevice.Disk containerRoot(Path root, List<Fd> opened)
      throws RejectedException {
    Fd file =
        openFile(root.toString(), READ, CONTAINER_IMAGE_NOT_FOUND, "spec.container.image", opened);
    return containerDisk(ContainerDisks.IMAGE, file, true, OptionalLong.empty());
  }

  private static OpenDevice.Disk writableLayer(Container container, Path template, List<Fd> opened)
      throws RejectedException {
    Fd file = openFile(template.toString(), READ, KERNEL_WITHOUT_AGENT, "spec.boot.kernel", opened);
    long mib = container.getWritableMib() == 0 ? DEFAULT_WRITABLE_MIB : container.getWritableMib();
    return containerDisk(ContainerDisks.WRITABLE, file, false, OptionalLong.of(mib * MIB));
  }

  private static OpenDevice.Disk containerDisk(
      String id, Fd file, boolean readOnly, OptionalLong copyBytes) {
    return new OpenDevice.Disk(
        id,
        file,
        Optional.empty(),
        DiskShape.of(file, false),
        readOnly,
        copyBytes.isPresent(),
        copyBytes,
        1,
        RateLimit.getDefaultInstance(),
        DiskEngine.DISK_ENGINE_AUTO);
  }

  private static OpenDevice.Balloon balloon(Balloon balloon) {
    Duration interval =
        Duration.ofSeconds(
            balloon.getStatisticsInterval().getSeconds(),
            balloon.getStatisticsInterval().getNanos());
    return new OpenDevice.Balloon(
        balloon.getTargetMib() * MIB,
        interval,
        balloon.getDeflateOnOom(),
        balloon.getFreePageReporting());
  }

  private static OpenDevice.Memory memory(MemoryHotplug hotplug) {
    return new OpenDevice.Memory(
        hotplug.getMaximumMib() * MIB,
        HotplugMemory.blockMib(hotplug.getBlockMib()) * MIB,
        hotplug.getSizeMib() * MIB);
  }

  private static OpenDevice.Disk openDisk(Disk disk, String field, Source source, List<Fd> opened)
      throws RejectedException {
    boolean ofImage = disk.getSource().equals(IMAGE_DISK);
    String path = ofImage ? imageDisk(source, field + ".source") : disk.getSource();
    int flags = disk.getReadOnly() || ofImage ? READ : READ_WRITE;
    Fd file = openFile(path, flags, DISK_NOT_FOUND, field + ".source", opened);
    Fd.Type type = file.type();
    if (type != Fd.Type.REGULAR && type != Fd.Type.BLOCK_DEVICE) {
      throw notADisk(path, field + ".source", type);
    }
    Optional<Fd> direct =
        disk.getDirect() ? Optional.of(openDirect(path, flags, field, opened)) : Optional.empty();
    DiskShape shape = DiskShape.of(file, disk.getDirect());
    if (shape.bytes() == 0 || shape.bytes() % SECTOR_BYTES != 0) {
      throw new RejectedException(
          DISK_INVALID,
          field + ".source",
          "%s has %d bytes: a disk has a positive multiple of %d"
              .formatted(path, shape.bytes(), SECTOR_BYTES));
    }
    return new OpenDevice.Disk(
        disk.getId(),
        direct.orElse(file),
        direct.isPresent() ? Optional.of(file) : Optional.empty(),
        shape,
        disk.getReadOnly(),
        // An image's disk is never written: a guest that may write gets a copy.
        ofImage && !disk.getReadOnly(),
        OptionalLong.empty(),
        Math.max(1, disk.getQueues()),
        RateLimits.of(disk.getRateLimit()),
        engine(disk.getBackEnd(), field + ".back_end"));
  }

  private static DiskEngine engine(String backEnd, String field) throws RejectedException {
    if (backEnd.isEmpty() || backEnd.equals("auto")) {
      return DiskEngine.DISK_ENGINE_AUTO;
    }
    if (backEnd.equals(BackEnd.BLK_FILE.qualifiedName())) {
      return DiskEngine.DISK_ENGINE_THREAD;
    }
    if (backEnd.equals(BackEnd.BLK_IO_URING.qualifiedName())) {
      return DiskEngine.DISK_ENGINE_IO_URING;
    }
    throw new RejectedException(
        FIELD_UNSUPPORTED, field, "this node's worker does not know back end " + backEnd);
  }

  /** The file is there and may be opened: what is wrong now is wrong with O_DIRECT. */
  private static Fd openDirect(String path, int flags, String field, List<Fd> opened)
      throws RejectedException {
    return openFile(path, flags | Fd.O_DIRECT, FIELD_UNSUPPORTED, field + ".direct", opened);
  }

  private static String imageDisk(Source source, String field) throws RejectedException {
    return source
        .image
        .flatMap(GuestImage::rootDisk)
        .map(Path::toString)
        .orElseThrow(() ->
            new RejectedException(
                DISK_NOT_FOUND,
                field,
                source
                    .image
                    .map(image -> "image \"%s\" has no root disk".formatted(image.name()))
                    .orElse("\"image:\" needs a kernel that is an image's")));
  }

  private String commandLine(
      MicroVmSpec spec, Source source, AnnouncementMode announcement, int devices)
      throws RejectedException {
    String own = source.image.map(GuestImage::commandLine).orElse(FILE_KERNEL_ARGUMENTS);
    String usual = spec.hasMemoryHotplug() ? join(own, HOTPLUG_ARGUMENTS) : own;
    String needed = spec.hasContainer() ? join(usual, containerArguments(spec)) : usual;
    String served = spec.hasMetadata() ? join(needed, METADATA_ARGUMENT) : needed;
    String line = join(served, spec.getBoot().getCommandLine().strip());
    String whole =
        announcement == AnnouncementMode.ANNOUNCE_CMDLINE
            ? join(line, CommandLineAnnouncement.of(MmioPlan.X86_64.first(devices)))
            : line;
    int bytes = whole.getBytes(UTF_8).length;
    if (bytes > MAX_COMMAND_LINE_BYTES) {
      throw new RejectedException(
          COMMAND_LINE_TOO_LONG,
          "spec.boot.command_line",
          "%d bytes with what Vireo adds, at most %d".formatted(bytes, MAX_COMMAND_LINE_BYTES));
    }
    return line;
  }

  private static String containerArguments(MicroVmSpec spec) {
    int pids = spec.getContainer().getPidsLimit();
    return pids == 0 ? CONTAINER_ARGUMENTS : join(CONTAINER_ARGUMENTS, PIDS_ARGUMENT + pids);
  }

  private static String join(String first, String second) {
    return first.isEmpty() || second.isEmpty() ? first + second : first + " " + second;
  }

  private static Fd openFile(
      String path, int flags, ErrorReason reason, String field, List<Fd> opened)
      throws RejectedException {
    if (!path.startsWith("/")) {
      throw new RejectedException(reason, field, "\"" + path + "\" is not an absolute path");
    }
    try {
      Fd file = Fd.open(path, flags);
      opened.add(file);
      return file;
    } catch (LinuxException e) {
      if (e.errno() == Errno.EISDIR) {
        throw notADisk(path, field, Fd.Type.DIRECTORY);
      }
      throw new RejectedException(
          reason, field, "cannot open %s: %s".formatted(path, Errno.describe(e.errno())));
    }
  }

  /** EISDIR comes of opening for writing, which only disks are. */
  private static RejectedException notADisk(String path, String field, Fd.Type type) {
    return new RejectedException(
        DISK_INVALID, field, "%s is a %s, not a file or block device".formatted(path, words(type)));
  }

  private static String words(Fd.Type type) {
    return type.name().toLowerCase(java.util.Locale.ROOT).replace('_', ' ');
  }

  private static void checkCompiler(MicroVmSpec spec) throws RejectedException {
    if (spec.getVmm().getCompiler() == VmmCompiler.UNRECOGNIZED) {
      throw new RejectedException(
          FIELD_UNSUPPORTED,
          "spec.vmm.compiler",
          "this node's worker does not know compiler " + spec.getVmm().getCompilerValue());
    }
  }

  private static RegisterPageMode registerPage(MicroVmSpec spec) throws RejectedException {
    return switch (spec.getVmm().getRegisterPage()) {
      case REGISTER_PAGE_MODE_UNSPECIFIED, REGISTER_PAGE_AUTO ->
          RegisterPageMode.REGISTER_PAGE_AUTO;
      case REGISTER_PAGE_LAZY -> RegisterPageMode.REGISTER_PAGE_LAZY;
      case REGISTER_PAGE_STRICT -> RegisterPageMode.REGISTER_PAGE_STRICT;
      case REGISTER_PAGE_CLASSIC -> RegisterPageMode.REGISTER_PAGE_CLASSIC;
      case UNRECOGNIZED ->
          throw new RejectedException(
              FIELD_UNSUPPORTED,
              "spec.vmm.register_page",
              "this node's worker does not know mode " + spec.getVmm().getRegisterPageValue());
    };
  }

  private static AnnouncementMode mode(DeviceAnnouncement announcement) {
    return switch (announcement) {
      case CMDLINE -> AnnouncementMode.ANNOUNCE_CMDLINE;
      case ACPI -> AnnouncementMode.ANNOUNCE_ACPI;
      case FDT -> AnnouncementMode.ANNOUNCE_FDT;
    };
  }

  /** Empty for AUTO. */
  private static Optional<AnnouncementMode> mode(Announcement announcement) {
    return switch (announcement) {
      case CMDLINE -> Optional.of(AnnouncementMode.ANNOUNCE_CMDLINE);
      case ACPI -> Optional.of(AnnouncementMode.ANNOUNCE_ACPI);
      case FDT -> Optional.of(AnnouncementMode.ANNOUNCE_FDT);
      case AUTO, ANNOUNCEMENT_UNSPECIFIED, UNRECOGNIZED -> Optional.empty();
    };
  }
}

package dev.vireo.controller.api;

import com.google.protobuf.Duration;
import dev.vireo.catalog.BackEnd;
import dev.vireo.catalog.ContainerDisks;
import dev.vireo.catalog.MmioPlan;
import dev.vireo.proto.errors.ErrorReason;
import dev.vireo.proto.v1.Announcement;
import dev.vireo.proto.v1.Architecture;
import dev.vireo.proto.v1.Boot;
import dev.vireo.proto.v1.Console;
import dev.vireo.proto.v1.DesiredState;
import dev.vireo.proto.v1.Disk;
import dev.vireo.proto.v1.Lifecycle;
import dev.vireo.proto.v1.Limits;
import dev.vireo.proto.v1.MemoryBacking;
import dev.vireo.proto.v1.MicroVmSpec;
import dev.vireo.proto.v1.RegisterPageMode;
import dev.vireo.proto.v1.VmmCompiler;
import dev.vireo.proto.v1.Vsock;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.regex.Pattern;

/** What can be said of a spec by looking at it alone. */
final class SpecValidator {
  static final int MAX_VCPUS = 64;
  static final long MIN_MEMORY_MIB = 16;

  /** 16 TiB: beyond it is a mistake of units. */
  static final long MAX_MEMORY_MIB = 16L << 20;

  static final int MAX_COMMAND_LINE_BYTES = 2_047;
  static final int MAX_DISKS = 16;
  static final int MAX_DISK_QUEUES = 16;
  static final long MAX_CONSOLE_BYTES = 1L << 30;
  static final int MAX_READY_MARKER_BYTES = 256;
  static final int MAX_PATH_BYTES = 4_095;

  /** The kernel's least quota, 1 ms, in each period of 100 ms. */
  private static final long MIN_CPU_MILLI = 10;

  private static final long MAX_CPU_MILLI = 64_000;
  private static final long MAX_CPU_WEIGHT = 10_000;

  static final long MAX_TTL_SECONDS = java.time.Duration.ofDays(366).toSeconds();
  static final long MAX_STOP_GRACE_SECONDS = java.time.Duration.ofHours(1).toSeconds();

  /** A disk's source that stands for the image's own root disk. */
  static final String IMAGE_DISK = "image:";

  /** The back end that the node thinks best. */
  private static final String AUTO = "auto";

  private static final Pattern DEVICE_ID = Pattern.compile("[a-z]([-a-z0-9]{0,18}[a-z0-9])?");
  private static final Pattern IMAGE_NAME = Pattern.compile("[a-z0-9]([-a-z0-9._]{0,61}[a-z0-9])?");

  private final MicroVmSpec spec;
  private final Violations violations;

  private SpecValidator(MicroVmSpec spec, Violations violations) {
    this.spec = spec;
    this.violations = violations;
  }

  static void validate(MicroVmSpec spec, Violations violations) {
    new SpecValidator(spec, violations).validate();
  }

  private void validate() {
    violations.invalidIf(
        spec.getArchitecture() == Architecture.UNRECOGNIZED,
        "spec.architecture",
        "is none of X86_64, ARM64.");
    validateSize();
    validateMemoryBacking();
    validateBoot(spec.getBoot());
    if (spec.hasContainer()) {
      ContainerValidator.validate(spec, violations);
    }
    validateDevices();
    validateVsock(spec.getVsock());
    RateLimitValidator.validate(
        "spec.entropy.rate_limit", spec.getEntropy().getRateLimit(), violations);
    if (spec.hasBalloon()) {
      BalloonValidator.validate(spec.getBalloon(), spec.getMemoryMib(), violations);
    }
    if (spec.hasMemoryHotplug()) {
      MemoryHotplugValidator.validate(spec.getMemoryHotplug(), violations);
    }
    if (spec.hasVirtioConsole()) {
      ConsoleValidator.validate(spec.getVirtioConsole(), violations);
    }
    if (spec.hasMetadata()) {
      MetadataValidator.validate(spec, violations);
    }
    validateConsole(spec.getConsole());
    PlacementValidator.validate(spec.getPlacement(), violations);
    validateLimits(spec.getLimits());
    validateLifecycle(spec.getLifecycle(), spec.hasContainer() || spec.hasVsock());
    violations.invalidIf(
        spec.getVmm().getRegisterPage() == RegisterPageMode.UNRECOGNIZED,
        "spec.vmm.register_page",
        "is none of AUTO, LAZY, STRICT, CLASSIC.");
    violations.invalidIf(
        spec.getVmm().getCompiler() == VmmCompiler.UNRECOGNIZED,
        "spec.vmm.compiler",
        "is none of AUTO, LEAN, FAST.");
    if (spec.getDesiredState() != DesiredState.DESIRED_STATE_UNSPECIFIED
        && spec.getDesiredState() != DesiredState.DESIRED_RUNNING) {
      violations.add(
          "spec.desired_state",
          ErrorReason.FIELD_UNSUPPORTED,
          "a new microVM is DESIRED_RUNNING; Stop and Pause change it.");
    }
  }

  private void validateSize() {
    long vcpus = Integer.toUnsignedLong(spec.getVcpus());
    violations.invalidIf(
        vcpus < 1 || vcpus > MAX_VCPUS, "spec.vcpus", "is %d; 1 to %d.", vcpus, MAX_VCPUS);
    long memory = spec.getMemoryMib();
    violations.invalidIf(
        memory < MIN_MEMORY_MIB || memory > MAX_MEMORY_MIB,
        "spec.memory_mib",
        "is %s; %d to %d (MiB).",
        Long.toUnsignedString(memory),
        MIN_MEMORY_MIB,
        MAX_MEMORY_MIB);
  }

  private void validateMemoryBacking() {
    violations.invalidIf(
        spec.getMemoryBacking() == MemoryBacking.UNRECOGNIZED,
        "spec.memory_backing",
        "is none of ANONYMOUS, SHARED, HUGE_PAGES.");
    if (spec.getMemoryBacking() != MemoryBacking.MEMORY_HUGE_PAGES) {
      return;
    }
    violations.invalidIf(
        spec.getMemoryMib() % 2 != 0, "spec.memory_mib", "is odd, and huge pages have 2 MiB.");
    if (spec.hasBalloon()) {
      violations.add(
          "spec.balloon",
          ErrorReason.FIELD_UNSUPPORTED,
          "is not for huge pages: one that a guest gave back might not be had again.");
    }
  }

  private void validateBoot(Boot boot) {
    if (boot.getKernel().isEmpty()) {
      if (!spec.hasContainer()) {
        violations.required("spec.boot.kernel");
      }
    } else if (boot.getKernel().startsWith("/")) {
      validatePath("spec.boot.kernel", boot.getKernel());
    } else if (!IMAGE_NAME.matcher(boot.getKernel()).matches()) {
      violations.add(
          "spec.boot.kernel",
          ErrorReason.KERNEL_NOT_FOUND,
          "\"%s\" is neither the name of an image nor an absolute path."
              .formatted(boot.getKernel()));
    }
    if (!boot.getInitramfs().isEmpty()) {
      validatePath("spec.boot.initramfs", boot.getInitramfs());
      violations.invalidIf(
          boot.getNoInitramfs(), "spec.boot.no_initramfs", "is set beside an initramfs.");
    }
    int commandLineBytes = FieldRules.bytes(boot.getCommandLine());
    if (commandLineBytes > MAX_COMMAND_LINE_BYTES) {
      violations.add(
          "spec.boot.command_line",
          ErrorReason.COMMAND_LINE_TOO_LONG,
          "has %d bytes; at most %d with what Vireo adds."
              .formatted(commandLineBytes, MAX_COMMAND_LINE_BYTES));
    }
    violations.invalidIf(
        boot.getCommandLine().chars().anyMatch(c -> (c < ' ' && c != '\t') || c == 0x7f),
        "spec.boot.command_line",
        "has control characters.");
    violations.invalidIf(
        boot.getAnnouncement() == Announcement.UNRECOGNIZED,
        "spec.boot.announcement",
        "is none of AUTO, CMDLINE, ACPI, FDT.");
  }

  private void validateDevices() {
    Set<String> ids = idsOfOtherDevices();
    violations.invalidIf(
        spec.getDisksCount() > MAX_DISKS,
        "spec.disks",
        "has %d entries; at most %d.",
        spec.getDisksCount(),
        MAX_DISKS);
    for (int i = 0; i < spec.getDisksCount(); i++) {
      validateDisk("spec.disks[%d]".formatted(i), spec.getDisks(i), ids);
    }
    NetworkValidator.validate(spec, ids, violations);
    int slots = MmioPlan.X86_64.capacity();
    violations.invalidIf(
        ids.size() > slots,
        "spec",
        "has %d devices; a machine has room for %d.",
        ids.size(),
        slots);
  }

  /** Of which a microVM has one at most, so that they are named after their field. */
  private Set<String> idsOfOtherDevices() {
    Set<String> ids = new HashSet<>();
    if (spec.hasContainer()) {
      ids.addAll(ContainerDisks.IDS);
    }
    if (spec.hasVsock() || spec.hasContainer()) {
      ids.add("vsock");
    }
    if (spec.hasEntropy()) {
      ids.add("entropy");
    }
    if (spec.hasBalloon()) {
      ids.add("balloon");
    }
    if (spec.hasVirtioConsole()) {
      ids.add("console");
    }
    if (spec.hasMemoryHotplug()) {
      ids.add("memory");
    }
    return ids;
  }

  /** What the id of any device must be; it is one of {@code ids} from now on. */
  static void validateDeviceId(String field, String id, Set<String> ids, Violations violations) {
    if (id.isEmpty()) {
      violations.required(field);
    } else if (!DEVICE_ID.matcher(id).matches()) {
      violations.invalid(field, "must match %s.".formatted(DEVICE_ID.pattern()));
    } else {
      violations.invalidIf(!ids.add(id), field, "is that of another device.");
    }
  }

  private void validateDisk(String field, Disk disk, Set<String> ids) {
    validateDeviceId(field + ".id", disk.getId(), ids, violations);
    if (disk.getSource().isEmpty()) {
      violations.required(field + ".source");
    } else if (disk.getSource().equals(IMAGE_DISK)) {
      violations.invalidIf(
          spec.getBoot().getKernel().startsWith("/"),
          field + ".source",
          "is \"image:\", but the kernel is a file and not an image.");
    } else {
      validatePath(field + ".source", disk.getSource());
    }
    validateBackEnd(
        field + ".back_end",
        disk.getBackEnd(),
        List.of(BackEnd.BLK_FILE, BackEnd.BLK_IO_URING),
        violations);
    RateLimitValidator.validate(field + ".rate_limit", disk.getRateLimit(), violations);
    long queues = Integer.toUnsignedLong(disk.getQueues());
    violations.invalidIf(
        queues > MAX_DISK_QUEUES, field + ".queues", "is %d; 1 to %d.", queues, MAX_DISK_QUEUES);
  }

  /** Empty, "auto" or one of those that the device can have. */
  static void validateBackEnd(
      String field, String backEnd, List<BackEnd> offered, Violations violations) {
    List<String> names = new ArrayList<>(List.of(AUTO));
    offered.forEach(each -> names.add(each.qualifiedName()));
    if (!backEnd.isEmpty() && !names.contains(backEnd)) {
      violations.add(
          field,
          ErrorReason.FIELD_UNSUPPORTED,
          "is \"%s\"; this release has %s.".formatted(backEnd, String.join(", ", names)));
    }
  }

  /** 5.10.4 of VIRTIO 1.2: 1 is reserved, 2 is the host, all ones mean any. */
  private void validateVsock(Vsock vsock) {
    int cid = vsock.getCid();
    violations.invalidIf(
        cid == 1 || cid == 2 || cid == -1,
        "spec.vsock.cid",
        "is %s; 3 to 4294967294, or 0 to have the node choose.",
        Integer.toUnsignedString(cid));
  }

  private void validateConsole(Console console) {
    long max = console.getMaxBytes();
    violations.invalidIf(
        max < 0 || max > MAX_CONSOLE_BYTES,
        "spec.console.max_bytes",
        "is %s; at most %d.",
        Long.toUnsignedString(max),
        MAX_CONSOLE_BYTES);
    violations.invalidIf(
        FieldRules.bytes(console.getReadyMarker()) > MAX_READY_MARKER_BYTES,
        "spec.console.ready_marker",
        "is longer than %d bytes.",
        MAX_READY_MARKER_BYTES);
  }

  private void validateLifecycle(Lifecycle lifecycle, boolean mayHaveAgent) {
    violations.invalidIf(
        lifecycle.getRestartPolicy() == Lifecycle.RestartPolicy.UNRECOGNIZED,
        "spec.lifecycle.restart_policy",
        "is none of NEVER, ON_FAILURE, ALWAYS.");
    violations.invalidIf(
        lifecycle.getOnNodeLoss() == Lifecycle.NodeLoss.UNRECOGNIZED,
        "spec.lifecycle.on_node_loss",
        "is none of NODE_LOSS_FAIL, NODE_LOSS_RESCHEDULE.");
    if (lifecycle.hasTtl()) {
      violations.invalidIf(
          !FieldRules.isPositiveDuration(lifecycle.getTtl(), MAX_TTL_SECONDS),
          "spec.lifecycle.ttl",
          "must be more than 0 s and at most %d s.",
          MAX_TTL_SECONDS);
    }
    if (lifecycle.hasStopGrace()) {
      violations.invalidIf(
          !FieldRules.isDuration(lifecycle.getStopGrace(), MAX_STOP_GRACE_SECONDS),
          "spec.lifecycle.stop_grace",
          "must be 0 to %d s.",
          MAX_STOP_GRACE_SECONDS);
    }
    if (lifecycle.hasMaxRunTime()) {
      validateTimeLimit("spec.lifecycle.max_run_time", lifecycle.getMaxRunTime());
    }
    if (lifecycle.hasIdleTimeout()) {
      validateTimeLimit("spec.lifecycle.idle_timeout", lifecycle.getIdleTimeout());
      violations.invalidIf(
          !mayHaveAgent,
          "spec.lifecycle.idle_timeout",
          "counts from the last call to the guest's agent, which is reached by vsock: set"
              + " spec.container or spec.vsock as well, or use max_run_time.");
    }
  }

  private void validateLimits(Limits limits) {
    long milli = Integer.toUnsignedLong(limits.getCpuMilli());
    violations.invalidIf(
        milli != 0 && (milli < MIN_CPU_MILLI || milli > MAX_CPU_MILLI),
        "spec.limits.cpu_milli",
        "is %d; %d to %d, or 0 for no limit.",
        milli,
        MIN_CPU_MILLI,
        MAX_CPU_MILLI);
    long weight = Integer.toUnsignedLong(limits.getCpuWeight());
    violations.invalidIf(
        weight > MAX_CPU_WEIGHT,
        "spec.limits.cpu_weight",
        "is %d; 1 to %d, or 0 for 100 for each vCPU.",
        weight,
        MAX_CPU_WEIGHT);
  }

  private void validateTimeLimit(String field, Duration limit) {
    violations.invalidIf(
        !FieldRules.isDuration(limit, MAX_TTL_SECONDS) || limit.getSeconds() < 1,
        field,
        "must be 1 to %d s.",
        MAX_TTL_SECONDS);
  }

  private void validatePath(String field, String path) {
    violations.invalidIf(!path.startsWith("/"), field, "must be an absolute path on the node.");
    violations.invalidIf(
        FieldRules.bytes(path) > MAX_PATH_BYTES, field, "is longer than %d bytes.", MAX_PATH_BYTES);
    FieldRules.noNul(field, path, violations);
  }
}

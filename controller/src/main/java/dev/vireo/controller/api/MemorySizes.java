package dev.vireo.controller.api;

import dev.vireo.catalog.HotplugMemory;
import dev.vireo.proto.v1.MicroVmSpec;
import dev.vireo.proto.v1.ResizeMemoryRequest;

/**
 * What becomes of a spec whose guest is to have more or less memory. Beyond {@code memory_mib} it
 * is plugged; below, the balloon has what is missing.
 */
final class MemorySizes {
  private static final String SIZE = "size_mib";
  private static final String TARGET = "balloon_target_mib";

  private final MicroVmSpec spec;
  private final Violations violations = new Violations();

  private MemorySizes(MicroVmSpec spec) {
    this.spec = spec;
  }

  /**
   * The spec with the sizes that are asked for.
   *
   * @throws io.grpc.StatusRuntimeException with every field that the spec does not allow
   */
  static MicroVmSpec resized(MicroVmSpec spec, ResizeMemoryRequest request) {
    return new MemorySizes(spec).resized(request);
  }

  private MicroVmSpec resized(ResizeMemoryRequest request) {
    checkOne(request);
    if (request.hasSizeMib()) {
      checkSize(request.getSizeMib());
    }
    if (request.hasBalloonTargetMib()) {
      checkTarget(request.getBalloonTargetMib());
    }
    violations.throwIfAny();
    return request.hasSizeMib()
        ? withSize(request.getSizeMib())
        : withTarget(request.getBalloonTargetMib());
  }

  private void checkOne(ResizeMemoryRequest request) {
    if (!request.hasSizeMib() && !request.hasBalloonTargetMib()) {
      violations.required(SIZE);
    }
    violations.invalidIf(
        request.hasSizeMib() && request.hasBalloonTargetMib(),
        TARGET,
        "is set beside size_mib, which decides about the balloon too.");
  }

  private void checkTarget(long target) {
    if (spec.hasBalloon()) {
      BalloonValidator.validateTarget(TARGET, target, spec.getMemoryMib(), violations);
    } else {
      violations.invalid(TARGET, "is for a microVM that has a balloon.");
    }
  }

  private void checkSize(long size) {
    long least = spec.hasBalloon() ? SpecValidator.MIN_MEMORY_MIB : spec.getMemoryMib();
    long most = spec.getMemoryMib() + spec.getMemoryHotplug().getMaximumMib();
    if (!spec.hasBalloon() && !spec.hasMemoryHotplug()) {
      violations.invalid(SIZE, "is for a microVM that has memory_hotplug or a balloon.");
    } else if (size < least || size > most) {
      violations.invalid(
          SIZE, "is %s; %d to %d (MiB).".formatted(Long.toUnsignedString(size), least, most));
    } else if (size > spec.getMemoryMib()) {
      int block = HotplugMemory.blockMib(spec.getMemoryHotplug().getBlockMib());
      violations.invalidIf(
          (size - spec.getMemoryMib()) % block != 0,
          SIZE,
          "is %d; memory_mib, %d, and a multiple of block_mib, %d.",
          size,
          spec.getMemoryMib(),
          block);
    }
  }

  private MicroVmSpec withSize(long size) {
    long beyond = Math.max(0, size - spec.getMemoryMib());
    MicroVmSpec.Builder resized = spec.toBuilder();
    if (spec.hasMemoryHotplug()) {
      resized.getMemoryHotplugBuilder().setSizeMib(beyond);
    }
    if (spec.hasBalloon()) {
      resized.getBalloonBuilder().setTargetMib(spec.getMemoryMib() + beyond - size);
    }
    return resized.build();
  }

  private MicroVmSpec withTarget(long target) {
    MicroVmSpec.Builder resized = spec.toBuilder();
    resized.getBalloonBuilder().setTargetMib(target);
    return resized.build();
  }
}

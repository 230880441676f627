package dev.vireo.controller.api;

import dev.vireo.proto.v1.Container;
import dev.vireo.proto.v1.ImagePull;
import dev.vireo.proto.v1.MicroVmSpec;
import java.util.regex.Pattern;

/**
 * What can be said of a container by looking at its spec alone. What its image says is the node's
 * to know.
 */
final class ContainerValidator {
  static final long MIN_WRITABLE_MIB = 16;
  static final long MAX_WRITABLE_MIB = 1 << 20;
  static final long MIN_OUTPUT_BYTES = 64 << 10;
  static final long MAX_OUTPUT_BYTES = 1L << 30;

  /** Of all that a process is started with: what Linux takes of one argument. */
  static final int MAX_PROCESS_BYTES = 128 << 10;

  private static final String FIELD = "spec.container.";
  private static final int MAX_IMAGE_BYTES = 512;
  private static final int MAX_USER_BYTES = 128;

  /** Linux, include/linux/threads.h: PID_MAX_LIMIT. */
  private static final int MAX_PIDS = 4 << 20;

  /** No more than that it is one word: what a reference is, the node's image store knows. */
  private static final Pattern IMAGE = Pattern.compile("[A-Za-z0-9\\[][-A-Za-z0-9._/:@\\[\\]]*");

  private static final Pattern ENVIRONMENT_NAME = Pattern.compile("[^=\\x00]+");

  private final Container container;
  private final Violations violations;

  private ContainerValidator(Container container, Violations violations) {
    this.container = container;
    this.violations = violations;
  }

  static void validate(MicroVmSpec spec, Violations violations) {
    new ContainerValidator(spec.getContainer(), violations).validate();
    violations.invalidIf(
        !spec.getBoot().getInitramfs().isEmpty() || spec.getBoot().getNoInitramfs(),
        "spec.boot.initramfs",
        "is not for a container, whose kernel starts Vireo's agent.");
    violations.invalidIf(
        spec.getBoot().getKernel().startsWith("/"),
        "spec.boot.kernel",
        "is a file; a container needs a kernel of the node's image store, which comes with Vireo's"
            + " agent.");
  }

  private void validate() {
    if (container.getImage().isEmpty()) {
      violations.required(FIELD + "image");
    } else {
      violations.invalidIf(
          container.getImage().length() > MAX_IMAGE_BYTES
              || !IMAGE.matcher(container.getImage()).matches(),
          FIELD + "image",
          "must be a reference, such as \"busybox\" or \"docker.io/library/python:3.13\", of at most"
              + " %d characters.",
          MAX_IMAGE_BYTES);
    }
    violations.invalidIf(
        container.getPull() == ImagePull.UNRECOGNIZED,
        FIELD + "pull",
        "is none of IF_MISSING, ALWAYS, NEVER.");
    validateProcess();
    validateHttp();
    validateSizes();
  }

  private void validateHttp() {
    if (!container.hasHttp()) {
      return;
    }
    FieldRules.port(FIELD + "http.port", container.getHttp().getPort(), violations);
    String path = container.getHttp().getReadinessPath();
    InvokeValidator.path(FIELD + "http.readiness_path", path, violations);
    violations.invalidIf(
        path.length() > SpecValidator.MAX_PATH_BYTES,
        FIELD + "http.readiness_path",
        "has more than %d bytes.",
        SpecValidator.MAX_PATH_BYTES);
  }

  private void validateProcess() {
    String directory = container.getWorkingDirectory();
    violations.invalidIf(
        !directory.isEmpty() && !directory.startsWith("/"),
        FIELD + "working_directory",
        "must be an absolute path in the guest.");
    violations.invalidIf(
        FieldRules.bytes(directory) > SpecValidator.MAX_PATH_BYTES || FieldRules.hasNul(directory),
        FIELD + "working_directory",
        "has a NUL character, or more than %d bytes.",
        SpecValidator.MAX_PATH_BYTES);
    violations.invalidIf(
        FieldRules.bytes(container.getUser()) > MAX_USER_BYTES
            || FieldRules.hasNul(container.getUser()),
        FIELD + "user",
        "has a NUL character, or more than %d bytes.",
        MAX_USER_BYTES);
    container
        .getEnvironmentMap()
        .forEach((name, value) ->
            violations.invalidIf(
                !ENVIRONMENT_NAME.matcher(name).matches() || FieldRules.hasNul(value),
                FIELD + "environment",
                "has a name that is empty or has a \"=\", or something with a NUL character."));
    violations.invalidIf(
        hasNul(container.getEntrypointList()), FIELD + "entrypoint", "has a NUL character.");
    violations.invalidIf(
        hasNul(container.getArgumentsList()), FIELD + "arguments", "has a NUL character.");
    violations.invalidIf(
        !container.getEntrypointList().isEmpty() && container.getEntrypoint(0).isEmpty(),
        FIELD + "entrypoint",
        "names no program.");
    int bytes = processBytes();
    violations.invalidIf(
        bytes > MAX_PROCESS_BYTES,
        FIELD + "arguments",
        "have %d bytes with entry point and environment; at most %d.",
        bytes,
        MAX_PROCESS_BYTES);
  }

  private int processBytes() {
    int bytes = 0;
    for (String argument : container.getEntrypointList()) {
      bytes += FieldRules.bytes(argument) + 1;
    }
    for (String argument : container.getArgumentsList()) {
      bytes += FieldRules.bytes(argument) + 1;
    }
    for (var variable : container.getEnvironmentMap().entrySet()) {
      bytes += FieldRules.bytes(variable.getKey()) + FieldRules.bytes(variable.getValue()) + 2;
    }
    return bytes;
  }

  private void validateSizes() {
    long writable = container.getWritableMib();
    violations.invalidIf(
        writable != 0 && (writable < MIN_WRITABLE_MIB || writable > MAX_WRITABLE_MIB),
        FIELD + "writable_mib",
        "is %s; %d to %d (MiB), or 0.",
        Long.toUnsignedString(writable),
        MIN_WRITABLE_MIB,
        MAX_WRITABLE_MIB);
    long output = container.getMaxOutputBytes();
    violations.invalidIf(
        output != 0 && (output < MIN_OUTPUT_BYTES || output > MAX_OUTPUT_BYTES),
        FIELD + "max_output_bytes",
        "is %s; %d to %d, or 0.",
        Long.toUnsignedString(output),
        MIN_OUTPUT_BYTES,
        MAX_OUTPUT_BYTES);
    int pids = container.getPidsLimit();
    violations.invalidIf(
        pids < 0 || pids > MAX_PIDS,
        FIELD + "pids_limit",
        "is %s; 1 to %d, or 0.",
        Integer.toUnsignedString(pids),
        MAX_PIDS);
  }

  private static boolean hasNul(Iterable<String> texts) {
    for (String text : texts) {
      if (FieldRules.hasNul(text)) {
        return true;
      }
    }
    return false;
  }
}

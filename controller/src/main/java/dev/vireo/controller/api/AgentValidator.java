package dev.vireo.controller.api;

import dev.vireo.proto.v1.AttachRequest;
import dev.vireo.proto.v1.AttachStart;
import dev.vireo.proto.v1.CopyInRequest;
import dev.vireo.proto.v1.CopyInStart;
import dev.vireo.proto.v1.CopyOutRequest;
import dev.vireo.proto.v1.ExecRequest;
import dev.vireo.proto.v1.ExecStart;
import dev.vireo.proto.v1.FileEntry;
import dev.vireo.proto.v1.PortForwardRequest;

/** What can be said of a client's messages to a guest's agent by looking at each. */
final class AgentValidator {
  /** Of arguments and environment together, with the NUL that ends each. */
  static final int MAX_ARGUMENT_BYTES = 128 << 10;

  /** PATH_MAX of linux/limits.h, without the NUL. */
  static final int MAX_PATH_BYTES = 4_095;

  private static final int MAX_SIGNAL = 64;
  private static final int MAX_MODE = 0_7777;

  /** LOGIN_NAME_MAX of linux/limits.h, for user and group, and the colon. */
  private static final int MAX_USER_BYTES = 513;

  private AgentValidator() {}

  // ---- exec

  static Violations exec(ExecRequest request, boolean first) {
    Violations violations = new Violations();
    switch (request.getRequestCase()) {
      case START -> start(request.getStart(), first, violations);
      case STDIN -> StreamRules.data("stdin", request.getStdin(), first, violations);
      case RESIZE -> {
        StreamRules.afterStart("resize", first, violations);
        ConsoleValidator.validateSize("resize", request.getResize(), violations);
      }
      case SIGNAL -> signal(request.getSignal(), first, violations);
      case STDIN_END -> StreamRules.afterStart("stdin_end", first, violations);
      case REQUEST_NOT_SET -> StreamRules.notSet(first, "request", violations);
    }
    return violations;
  }

  private static void start(ExecStart start, boolean first, Violations violations) {
    StreamRules.once(first, violations);
    if (start.getArgumentsCount() == 0 || start.getArguments(0).isEmpty()) {
      violations.required("start.arguments");
    }
    for (int i = 0; i < start.getArgumentsCount(); i++) {
      FieldRules.noNul("start.arguments[%d]".formatted(i), start.getArguments(i), violations);
    }
    start
        .getEnvironmentMap()
        .forEach((name, value) -> {
          String field = "start.environment[%s]".formatted(name.replace("\0", "\\0"));
          violations.invalidIf(
              name.isEmpty() || name.contains("="), field, "has a name that is empty or has a =.");
          FieldRules.noNul(field, name + value, violations);
        });
    violations.invalidIf(
        argumentBytes(start) > MAX_ARGUMENT_BYTES,
        "start.arguments",
        "has %d bytes with the environment; at most %d.",
        argumentBytes(start),
        MAX_ARGUMENT_BYTES);
    if (!start.getWorkingDirectory().isEmpty()) {
      path("start.working_directory", start.getWorkingDirectory(), violations);
    }
    violations.invalidIf(
        FieldRules.bytes(start.getUser()) > MAX_USER_BYTES || start.getUser().startsWith(":"),
        "start.user",
        "must be a user or user:group of at most %d bytes.",
        MAX_USER_BYTES);
    FieldRules.noNul("start.user", start.getUser(), violations);
    if (start.hasTerminal()) {
      ConsoleValidator.validateSize("start.terminal", start.getTerminal(), violations);
    }
    violations.invalidIf(
        start.getDetach() && (start.getStdin() || start.hasTerminal()),
        "start.detach",
        "goes with neither stdin nor a terminal: the call ends once the command runs.");
  }

  private static long argumentBytes(ExecStart start) {
    return start.getArgumentsList().stream()
            .mapToLong(argument -> FieldRules.bytes(argument) + 1)
            .sum()
        + start.getEnvironmentMap().entrySet().stream()
            .mapToLong(variable ->
                FieldRules.bytes(variable.getKey()) + FieldRules.bytes(variable.getValue()) + 2)
            .sum();
  }

  // ---- attach

  static Violations attach(AttachRequest request, boolean first) {
    Violations violations = new Violations();
    switch (request.getRequestCase()) {
      case START -> {
        AttachStart start = request.getStart();
        StreamRules.once(first, violations);
        violations.invalidIf(start.getOffset() < 0, "start.offset", "is beyond any log's end.");
        if (start.hasTerminal()) {
          ConsoleValidator.validateSize("start.terminal", start.getTerminal(), violations);
        }
      }
      case STDIN -> StreamRules.data("stdin", request.getStdin(), first, violations);
      case RESIZE -> {
        StreamRules.afterStart("resize", first, violations);
        ConsoleValidator.validateSize("resize", request.getResize(), violations);
      }
      case SIGNAL -> signal(request.getSignal(), first, violations);
      case STDIN_END -> StreamRules.afterStart("stdin_end", first, violations);
      case REQUEST_NOT_SET -> StreamRules.notSet(first, "request", violations);
    }
    return violations;
  }

  private static void signal(int signal, boolean first, Violations violations) {
    StreamRules.afterStart("signal", first, violations);
    violations.invalidIf(
        signal < 1 || signal > MAX_SIGNAL,
        "signal",
        "is %s; 1 to %d.",
        Integer.toUnsignedString(signal),
        MAX_SIGNAL);
  }

  // ---- files

  static Violations copyIn(CopyInRequest request, boolean first) {
    Violations violations = new Violations();
    switch (request.getRequestCase()) {
      case START -> {
        CopyInStart start = request.getStart();
        StreamRules.once(first, violations);
        path("start.path", start.getPath(), violations);
      }
      case ENTRY -> {
        StreamRules.afterStart("entry", first, violations);
        entry(request.getEntry(), violations);
      }
      case DATA -> StreamRules.data("data", request.getData(), first, violations);
      case REQUEST_NOT_SET -> StreamRules.notSet(first, "request", violations);
    }
    return violations;
  }

  static Violations copyOut(CopyOutRequest request) {
    Violations violations = new Violations();
    path("path", request.getPath(), violations);
    return violations;
  }

  /** Whether there is such an entry at all; whether it may come now, the worker knows. */
  private static void entry(FileEntry entry, Violations violations) {
    violations.invalidIf(
        entry.getTypeValue() < FileEntry.Type.REGULAR_VALUE
            || entry.getTypeValue() > FileEntry.Type.SYMBOLIC_LINK_VALUE,
        "entry.type",
        "is none that can be copied.");
    violations.invalidIf(
        !isRelative(entry.getPath()) || FieldRules.bytes(entry.getPath()) > MAX_PATH_BYTES,
        "entry.path",
        "must be relative, without empty parts, \".\" and \"..\", and have at most %d bytes.",
        MAX_PATH_BYTES);
    violations.invalidIf(
        entry.getMode() < 0 || entry.getMode() > MAX_MODE, "entry.mode", "has bits beyond 07777.");
    boolean link = entry.getType() == FileEntry.Type.SYMBOLIC_LINK;
    violations.invalidIf(
        link == entry.getLinkTarget().isEmpty()
            || FieldRules.bytes(entry.getLinkTarget()) > MAX_PATH_BYTES,
        "entry.link_target",
        "is a symbolic link's, of 1 to %d bytes, and nobody else's.",
        MAX_PATH_BYTES);
    FieldRules.noNul("entry.link_target", entry.getLinkTarget(), violations);
    violations.invalidIf(
        entry.getSize() < 0 || (entry.getSize() != 0 && entry.getType() != FileEntry.Type.REGULAR),
        "entry.size",
        "is a regular file's, of less than 2^63 bytes, and nobody else's.");
  }

  private static boolean isRelative(String path) {
    if (path.isEmpty()) {
      return true;
    }
    for (String part : path.split("/", -1)) {
      if (part.isEmpty() || part.equals(".") || part.equals("..") || FieldRules.hasNul(part)) {
        return false;
      }
    }
    return true;
  }

  // ---- ports

  static Violations portForward(PortForwardRequest request, boolean first) {
    Violations violations = new Violations();
    switch (request.getRequestCase()) {
      case START -> {
        StreamRules.once(first, violations);
        FieldRules.port("start.port", request.getStart().getPort(), violations);
      }
      case DATA -> StreamRules.data("data", request.getData(), first, violations);
      case END -> StreamRules.afterStart("end", first, violations);
      case REQUEST_NOT_SET -> StreamRules.notSet(first, "request", violations);
    }
    return violations;
  }

  // ---- what they share

  private static void path(String field, String path, Violations violations) {
    if (path.isEmpty()) {
      violations.required(field);
      return;
    }
    violations.invalidIf(
        !path.startsWith("/") || FieldRules.bytes(path) > MAX_PATH_BYTES,
        field,
        "must be absolute, and have at most %d bytes.",
        MAX_PATH_BYTES);
    FieldRules.noNul(field, path, violations);
  }
}

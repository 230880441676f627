package dev.vireo.controller.api;

import com.google.protobuf.ByteString;
import dev.vireo.proto.v1.AttachRequest;
import dev.vireo.proto.v1.AttachStart;
import dev.vireo.proto.v1.ConsoleSize;
import dev.vireo.proto.v1.CopyInRequest;
import dev.vireo.proto.v1.CopyInStart;
import dev.vireo.proto.v1.CopyOutRequest;
import dev.vireo.proto.v1.ExecRequest;
import dev.vireo.proto.v1.ExecStart;
import dev.vireo.proto.v1.FileEntry;
import dev.vireo.proto.v1.PortForwardRequest;
import java.nio.charset.StandardCharsets;

/** What can be said of a client's messages to a guest's agent by looking at each. */
final class AgentValidator {
  static final int MAX_DATA_BYTES = 64 << 10;

  /** Of arguments and environment together, with the NUL that ends each. */
  static final int MAX_ARGUMENT_BYTES = 128 << 10;

  /** PATH_MAX of linux/limits.h, without the NUL. */
  static final int MAX_PATH_BYTES = 4_095;

  private static final int MAX_SIGNAL = 64;
  private static final int MAX_CHARACTERS = 65_535;
  private static final int MAX_PORT = 65_535;
  private static final int MAX_MODE = 0_7777;

  /** LOGIN_NAME_MAX of linux/limits.h, for user and group, and the colon. */
  private static final int MAX_USER_BYTES = 513;

  private AgentValidator() {}

  // ---- exec

  static Violations exec(ExecRequest request, boolean first) {
    Violations violations = new Violations();
    switch (request.getRequestCase()) {
      case START -> start(request.getStart(), first, violations);
      case STDIN -> data("stdin", request.getStdin(), first, violations);
      case RESIZE -> {
        afterStart("resize", first, violations);
        size("resize", request.getResize(), violations);
      }
      case SIGNAL -> signal(request.getSignal(), first, violations);
      case STDIN_END -> afterStart("stdin_end", first, violations);
      case REQUEST_NOT_SET -> notSet(first, "request", violations);
    }
    return violations;
  }

  private static void start(ExecStart start, boolean first, Violations violations) {
    once(first, violations);
    if (start.getArgumentsCount() == 0 || start.getArguments(0).isEmpty()) {
      violations.required("start.arguments");
    }
    for (int i = 0; i < start.getArgumentsCount(); i++) {
      noNul("start.arguments[%d]".formatted(i), start.getArguments(i), violations);
    }
    start
        .getEnvironmentMap()
        .forEach((name, value) -> {
          String field = "start.environment[%s]".formatted(name.replace("\0", "\\0"));
          violations.invalidIf(
              name.isEmpty() || name.contains("="), field, "has a name that is empty or has a =.");
          noNul(field, name + value, violations);
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
        bytes(start.getUser()) > MAX_USER_BYTES || start.getUser().startsWith(":"),
        "start.user",
        "must be a user or user:group of at most %d bytes.",
        MAX_USER_BYTES);
    noNul("start.user", start.getUser(), violations);
    if (start.hasTerminal()) {
      size("start.terminal", start.getTerminal(), violations);
    }
    violations.invalidIf(
        start.getDetach() && (start.getStdin() || start.hasTerminal()),
        "start.detach",
        "goes with neither stdin nor a terminal: the call ends once the command runs.");
  }

  private static long argumentBytes(ExecStart start) {
    return start.getArgumentsList().stream().mapToLong(argument -> bytes(argument) + 1).sum()
        + start.getEnvironmentMap().entrySet().stream()
            .mapToLong(variable -> bytes(variable.getKey()) + bytes(variable.getValue()) + 2)
            .sum();
  }

  private static void size(String field, ConsoleSize size, Violations violations) {
    characters(field + ".columns", size.getColumns(), violations);
    characters(field + ".rows", size.getRows(), violations);
  }

  private static void characters(String field, int count, Violations violations) {
    violations.invalidIf(
        count < 1 || count > MAX_CHARACTERS,
        field,
        "is %s; 1 to %d.",
        Integer.toUnsignedString(count),
        MAX_CHARACTERS);
  }

  // ---- attach

  static Violations attach(AttachRequest request, boolean first) {
    Violations violations = new Violations();
    switch (request.getRequestCase()) {
      case START -> {
        AttachStart start = request.getStart();
        once(first, violations);
        violations.invalidIf(start.getOffset() < 0, "start.offset", "is beyond any log's end.");
        if (start.hasTerminal()) {
          size("start.terminal", start.getTerminal(), violations);
        }
      }
      case STDIN -> data("stdin", request.getStdin(), first, violations);
      case RESIZE -> {
        afterStart("resize", first, violations);
        size("resize", request.getResize(), violations);
      }
      case SIGNAL -> signal(request.getSignal(), first, violations);
      case STDIN_END -> afterStart("stdin_end", first, violations);
      case REQUEST_NOT_SET -> notSet(first, "request", violations);
    }
    return violations;
  }

  private static void signal(int signal, boolean first, Violations violations) {
    afterStart("signal", first, violations);
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
        once(first, violations);
        path("start.path", start.getPath(), violations);
      }
      case ENTRY -> {
        afterStart("entry", first, violations);
        entry(request.getEntry(), violations);
      }
      case DATA -> data("data", request.getData(), first, violations);
      case REQUEST_NOT_SET -> notSet(first, "request", violations);
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
        !isRelative(entry.getPath()) || bytes(entry.getPath()) > MAX_PATH_BYTES,
        "entry.path",
        "must be relative, without empty parts, \".\" and \"..\", and have at most %d bytes.",
        MAX_PATH_BYTES);
    violations.invalidIf(
        entry.getMode() < 0 || entry.getMode() > MAX_MODE, "entry.mode", "has bits beyond 07777.");
    boolean link = entry.getType() == FileEntry.Type.SYMBOLIC_LINK;
    violations.invalidIf(
        link == entry.getLinkTarget().isEmpty() || bytes(entry.getLinkTarget()) > MAX_PATH_BYTES,
        "entry.link_target",
        "is a symbolic link's, of 1 to %d bytes, and nobody else's.",
        MAX_PATH_BYTES);
    noNul("entry.link_target", entry.getLinkTarget(), violations);
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
      if (part.isEmpty() || part.equals(".") || part.equals("..") || part.indexOf('\0') >= 0) {
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
        once(first, violations);
        int port = request.getStart().getPort();
        violations.invalidIf(
            port < 1 || port > MAX_PORT,
            "start.port",
            "is %s; 1 to %d.",
            Integer.toUnsignedString(port),
            MAX_PORT);
      }
      case DATA -> data("data", request.getData(), first, violations);
      case END -> afterStart("end", first, violations);
      case REQUEST_NOT_SET -> notSet(first, "request", violations);
    }
    return violations;
  }

  // ---- what they share

  static void once(boolean first, Violations violations) {
    violations.invalidIf(!first, "start", "comes once.");
  }

  static void afterStart(String field, boolean first, Violations violations) {
    if (first) {
      violations.required("start");
      violations.invalid(field, "comes after start.");
    }
  }

  static void notSet(boolean first, String field, Violations violations) {
    violations.required(first ? "start" : field);
  }

  static void data(String field, ByteString data, boolean first, Violations violations) {
    afterStart(field, first, violations);
    violations.invalidIf(
        data.size() > MAX_DATA_BYTES,
        field,
        "has %d bytes; at most %d.",
        data.size(),
        MAX_DATA_BYTES);
  }

  private static void path(String field, String path, Violations violations) {
    if (path.isEmpty()) {
      violations.required(field);
      return;
    }
    violations.invalidIf(
        !path.startsWith("/") || bytes(path) > MAX_PATH_BYTES,
        field,
        "must be absolute, and have at most %d bytes.",
        MAX_PATH_BYTES);
    noNul(field, path, violations);
  }

  private static void noNul(String field, String text, Violations violations) {
    violations.invalidIf(text.indexOf('\0') >= 0, field, "has a NUL character.");
  }

  private static int bytes(String text) {
    return text.getBytes(StandardCharsets.UTF_8).length;
  }
}

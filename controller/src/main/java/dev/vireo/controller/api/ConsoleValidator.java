package dev.vireo.controller.api;

import dev.vireo.proto.v1.ConsolePort;
import dev.vireo.proto.v1.ConsoleSize;
import dev.vireo.proto.v1.MicroVmSpec;
import dev.vireo.proto.v1.ResizeConsoleRequest;
import dev.vireo.proto.v1.VirtioConsole;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

/**
 * What can be said of a spec's virtio-console device, and of its ports' sizes, by looking at it.
 */
final class ConsoleValidator {
  static final int MAX_PORTS = 16;
  static final int MAX_CHARACTERS = 65_535;

  private static final Pattern NAME = Pattern.compile("[a-z0-9]([-a-z0-9._]{0,30}[a-z0-9])?");

  private ConsoleValidator() {}

  static void validate(VirtioConsole console, Violations violations) {
    String field = "spec.virtio_console";
    List<ConsolePort> ports = console.getPortsList();
    violations.invalidIf(
        ports.isEmpty() || ports.size() > MAX_PORTS,
        field + ".ports",
        "has %d entries; 1 to %d.",
        ports.size(),
        MAX_PORTS);
    Set<String> names = new HashSet<>();
    for (int i = 0; i < ports.size(); i++) {
      validatePort(field + ".ports[%d]".formatted(i), i, ports.get(i), names, violations);
    }
    RateLimitValidator.validate(field + ".rx_rate_limit", console.getRxRateLimit(), violations);
    RateLimitValidator.validate(field + ".tx_rate_limit", console.getTxRateLimit(), violations);
  }

  private static void validatePort(
      String field, int index, ConsolePort port, Set<String> names, Violations violations) {
    if (port.getName().isEmpty()) {
      violations.required(field + ".name");
    } else if (!NAME.matcher(port.getName()).matches()) {
      violations.invalid(field + ".name", "must match %s.".formatted(NAME.pattern()));
    } else {
      violations.invalidIf(!names.add(port.getName()), field + ".name", "is that of another port.");
    }
    violations.invalidIf(
        index == 0 && !port.getConsole(),
        field + ".console",
        "must be true: drivers without VIRTIO_CONSOLE_F_MULTIPORT take the first port as a console."
            + " Put one before it.");
    if (port.hasSize()) {
      violations.invalidIf(!port.getConsole(), field + ".size", "is set, but a pipe has none.");
      validateSize(field + ".size", port.getSize(), violations);
    }
  }

  static void validateSize(String field, ConsoleSize size, Violations violations) {
    validateCharacters(field + ".columns", size.getColumns(), violations);
    validateCharacters(field + ".rows", size.getRows(), violations);
  }

  private static void validateCharacters(String field, int characters, Violations violations) {
    violations.invalidIf(
        characters < 1 || characters > MAX_CHARACTERS,
        field,
        "is %s; 1 to %d.",
        Integer.toUnsignedString(characters),
        MAX_CHARACTERS);
  }

  /**
   * The index of the console that is to be resized.
   *
   * @throws io.grpc.StatusRuntimeException INVALID_ARGUMENT if there is none such
   */
  static int console(MicroVmSpec spec, ResizeConsoleRequest request) {
    List<ConsolePort> ports = spec.getVirtioConsole().getPortsList();
    for (int i = 0; i < ports.size(); i++) {
      ConsolePort port = ports.get(i);
      if (port.getConsole()
          && (request.getPort().isEmpty() || port.getName().equals(request.getPort()))) {
        return i;
      }
    }
    String consoles =
        ports.stream()
            .filter(ConsolePort::getConsole)
            .map(ConsolePort::getName)
            .collect(Collectors.joining(", "));
    throw Violations.invalidField(
        "port",
        consoles.isEmpty()
            ? "is for a microVM with a virtio-console device, which this one has not."
            : "is \"%s\"; its consoles are %s.".formatted(request.getPort(), consoles));
  }
}

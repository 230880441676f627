package dev.vireo.worker;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/** A command line cut into a sub-command, options with values, and flags. */
record CommandLine(String command, Map<String, List<String>> options, Set<String> flags) {

  /** The command line is wrong; the message says how. */
  static final class UsageException extends Exception {
    private static final long serialVersionUID = 1L;

    UsageException(String message) {
      super(message);
    }
  }

  /**
   * Accepts {@code [command] [--option value | --option=value | --flag]…}.
   *
   * @param commands the sub-commands there are; the first is the default
   * @param withValue names of the options that take a value
   * @param withoutValue names of the flags
   */
  static CommandLine parse(
      String[] arguments, List<String> commands, Set<String> withValue, Set<String> withoutValue)
      throws UsageException {
    Map<String, List<String>> options = new HashMap<>();
    Set<String> flags = new java.util.HashSet<>();
    String command = commands.getFirst();
    int i = 0;
    if (arguments.length > 0 && !arguments[0].startsWith("-")) {
      command = arguments[i++];
      if (!commands.contains(command)) {
        throw new UsageException("there is no command \"" + command + "\"");
      }
    }
    while (i < arguments.length) {
      String argument = arguments[i++];
      int equals = argument.indexOf('=');
      String name = equals < 0 ? argument : argument.substring(0, equals);
      if (withoutValue.contains(argument)) {
        flags.add(argument);
      } else if (!withValue.contains(name)) {
        throw new UsageException("there is no option \"" + argument + "\"");
      } else if (equals >= 0) {
        add(options, name, argument.substring(equals + 1));
      } else if (i < arguments.length) {
        add(options, name, arguments[i++]);
      } else {
        throw new UsageException(name + " needs a value");
      }
    }
    return new CommandLine(command, Map.copyOf(options), Set.copyOf(flags));
  }

  private static void add(Map<String, List<String>> options, String name, String value) {
    options.computeIfAbsent(name, absent -> new ArrayList<>()).add(value);
  }

  boolean has(String flag) {
    return flags.contains(flag);
  }

  /** The option's value, the last one if it is given twice. */
  Optional<String> value(String option) {
    return Optional.ofNullable(options.get(option)).map(List::getLast);
  }

  /** The option's values, in the order in which they were given. */
  List<String> values(String option) {
    return options.getOrDefault(option, List.of());
  }

  /** A whole number within the bounds, both inclusive. */
  long number(String option, long otherwise, long least, long most) throws UsageException {
    Optional<String> value = value(option);
    if (value.isEmpty()) {
      return otherwise;
    }
    try {
      long number = Long.parseLong(value.get());
      if (number >= least && number <= most) {
        return number;
      }
    } catch (NumberFormatException e) {
      // Told below.
    }
    throw new UsageException(
        "%s is a whole number from %d to %d, not \"%s\""
            .formatted(option, least, most, value.get()));
  }

  /** The values of an option that is given as {@code key=value}, any number of times. */
  Map<String, String> pairs(String option) throws UsageException {
    Map<String, String> pairs = new LinkedHashMap<>();
    for (String pair : options.getOrDefault(option, List.of())) {
      int equals = pair.indexOf('=');
      if (equals < 1) {
        throw new UsageException(option + " is KEY=VALUE, not \"" + pair + "\"");
      }
      pairs.put(pair.substring(0, equals), pair.substring(equals + 1));
    }
    return pairs;
  }
}

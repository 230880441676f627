package dev.vireo.controller.microvm;

import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** A microVM's resource name, {@code projects/{project}/microvms/{id}} (AIP-122). */
public record MicroVmName(String project, String id) {
  /** Of project and microVM ids: a DNS label, at most 63 bytes. */
  public static final String ID_PATTERN = "[a-z]([-a-z0-9]{0,61}[a-z0-9])?";

  /** Under which all microVMs are stored. */
  static final String KEY_PREFIX = "microvms/";

  private static final Pattern ID = Pattern.compile(ID_PATTERN);
  private static final Pattern PARENT = Pattern.compile("projects/([^/]+)");
  private static final Pattern NAME = Pattern.compile("projects/([^/]+)/microvms/([^/]+)");

  public static boolean isId(String id) {
    return ID.matcher(id).matches();
  }

  /** Empty unless it is one. */
  public static Optional<MicroVmName> parse(String name) {
    Matcher matcher = NAME.matcher(name);
    return matcher.matches() && isId(matcher.group(1)) && isId(matcher.group(2))
        ? Optional.of(new MicroVmName(matcher.group(1), matcher.group(2)))
        : Optional.empty();
  }

  /** The project in {@code projects/{project}}; empty unless it is one. */
  public static Optional<String> parseParent(String parent) {
    Matcher matcher = PARENT.matcher(parent);
    return matcher.matches() && isId(matcher.group(1))
        ? Optional.of(matcher.group(1))
        : Optional.empty();
  }

  /** Where the microVM is stored. */
  String key() {
    return KEY_PREFIX + project + "/" + id;
  }

  @Override
  public String toString() {
    return "projects/%s/microvms/%s".formatted(project, id);
  }
}

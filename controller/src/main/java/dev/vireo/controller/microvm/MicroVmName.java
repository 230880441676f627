package dev.vireo.controller.microvm;

import java.util.Optional;

/** A microVM's resource name, {@code projects/{project}/microvms/{id}} (AIP-122). */
public record MicroVmName(String project, String id) {
  /** Of project and microVM ids: a DNS label, at most 63 bytes. */
  public static final String ID_PATTERN = "[a-z]([-a-z0-9]{0,61}[a-z0-9])?";

  /** Under which all microVMs are stored. */
  static final String KEY_PREFIX = "microvms/";

  private static final int MOST_BYTES = 63;
  private static final String PROJECTS = "projects/";
  private static final String MICROVMS = "/microvms/";

  /** Whether it matches {@link #ID_PATTERN}; asked too often for a regular expression. */
  public static boolean isId(String id) {
    if (id.isEmpty()
        || id.length() > MOST_BYTES
        || !isLetter(id.charAt(0))
        || id.charAt(id.length() - 1) == '-') {
      return false;
    }
    for (int i = 1; i < id.length(); i++) {
      char c = id.charAt(i);
      if (!isLetter(c) && !isDigit(c) && c != '-') {
        return false;
      }
    }
    return true;
  }

  private static boolean isLetter(char c) {
    return c >= 'a' && c <= 'z';
  }

  private static boolean isDigit(char c) {
    return c >= '0' && c <= '9';
  }

  /** Empty unless it is one. */
  public static Optional<MicroVmName> parse(String name) {
    // After the project has begun, which may be named so too.
    int end = name.indexOf(MICROVMS, PROJECTS.length());
    if (end < 0) {
      return Optional.empty();
    }
    String id = name.substring(end + MICROVMS.length());
    return parseParent(name.substring(0, end))
        .filter(_ -> isId(id))
        .map(project -> new MicroVmName(project, id));
  }

  /** The project in {@code projects/{project}}; empty unless it is one. */
  public static Optional<String> parseParent(String parent) {
    return Optional.of(parent)
        .filter(it -> it.startsWith(PROJECTS))
        .map(it -> it.substring(PROJECTS.length()))
        .filter(MicroVmName::isId);
  }

  /** Where the microVM is stored. */
  String key() {
    return KEY_PREFIX + project + "/" + id;
  }

  @Override
  public String toString() {
    return PROJECTS + project + MICROVMS + id;
  }
}

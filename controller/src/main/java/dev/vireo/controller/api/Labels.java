package dev.vireo.controller.api;

import java.util.LinkedHashMap;
import java.util.Map;
import java.util.regex.Pattern;

/** Labels: their syntax, and selectors by equality ({@code key=value,key=value}). */
final class Labels {
  private static final Pattern KEY =
      Pattern.compile("[a-zA-Z0-9]([-_./a-zA-Z0-9]{0,126}[a-zA-Z0-9])?");
  private static final Pattern VALUE =
      Pattern.compile("([a-zA-Z0-9]([-_./a-zA-Z0-9]{0,61}[a-zA-Z0-9])?)?");
  private static final int MAX_LABELS = 64;

  private Labels() {}

  static boolean isKey(String text) {
    return KEY.matcher(text).matches();
  }

  static boolean isValue(String text) {
    return VALUE.matcher(text).matches();
  }

  static void validate(Map<String, String> labels, String field, Violations violations) {
    violations.invalidIf(
        labels.size() > MAX_LABELS,
        field,
        "has %d entries; at most %d.",
        labels.size(),
        MAX_LABELS);
    labels.forEach((key, value) -> {
      violations.invalidIf(
          !KEY.matcher(key).matches(), field, "key \"%s\" must match %s.", key, KEY.pattern());
      violations.invalidIf(
          !VALUE.matcher(value).matches(),
          "%s[%s]".formatted(field, key),
          "must match %s.",
          VALUE.pattern());
    });
  }

  /** Reads a selector; the empty one selects all. */
  static Map<String, String> parseSelector(String selector, Violations violations) {
    Map<String, String> labels = new LinkedHashMap<>();
    if (selector.isBlank()) {
      return labels;
    }
    for (String term : selector.split(",", -1)) {
      String[] parts = term.strip().split("=", -1);
      if (parts.length != 2
          || !KEY.matcher(parts[0]).matches()
          || !VALUE.matcher(parts[1]).matches()
          || labels.containsKey(parts[0])) {
        violations.invalid(
            "label_selector",
            "term \"%s\" must be key=value, each key once.".formatted(term.strip()));
      } else {
        labels.put(parts[0], parts[1]);
      }
    }
    return labels;
  }
}

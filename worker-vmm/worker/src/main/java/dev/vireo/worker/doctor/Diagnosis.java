package dev.vireo.worker.doctor;

import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.stream.Collectors;

/**
 * What a host can do.
 *
 * @param backEnds that a node here would offer
 * @param tiers of tests, each with whether it runs here and, if not, why
 */
public record Diagnosis(List<Check> checks, List<String> backEnds, Map<String, String> tiers) {

  /** Whether guests of some kind can run here. */
  public boolean canRunGuests() {
    return checks.stream().noneMatch(check -> check.verdict() == Check.Verdict.BAD);
  }

  /** For people: a line each, and below it what to do where something is not good. */
  public String toText() {
    StringBuilder text = new StringBuilder();
    for (Check check : checks) {
      String sign =
          switch (check.verdict()) {
            case GOOD -> "ok     ";
            case LIMITED -> "limited";
            case BAD -> "BAD    ";
          };
      text.append("%s  %-17s %s%n".formatted(sign, check.name(), check.finding()));
      if (!check.remedy().isEmpty()) {
        text.append("%27s→ %s%n".formatted("", check.remedy()));
      }
    }
    text.append(
        "%n%-26s%s%n"
            .formatted("back ends:", backEnds.isEmpty() ? "none" : String.join(", ", backEnds)));
    tiers.forEach(
        (tier, state) -> text.append("%-26s%s%n".formatted("tests, " + tier + ":", state)));
    return text.toString();
  }

  /** For scripts: {@code checks}, {@code backEnds}, {@code tiers}, {@code canRunGuests}. */
  public String toJson() {
    String checksJson =
        checks.stream()
            .map(check ->
                "{\"name\": %s, \"verdict\": %s, \"finding\": %s, \"remedy\": %s}"
                    .formatted(
                        quoted(check.name()),
                        quoted(check.verdict().name().toLowerCase(Locale.ROOT)),
                        quoted(check.finding()),
                        quoted(check.remedy())))
            .collect(Collectors.joining(",\n    "));
    String tiersJson =
        tiers.entrySet().stream()
            .map(tier -> quoted(tier.getKey()) + ": " + quoted(tier.getValue()))
            .collect(Collectors.joining(",\n    "));
    return """
    {
      "canRunGuests": %s,
      "checks": [
        %s
      ],
      "backEnds": [%s],
      "tiers": {
        %s
      }
    }
    """
        .formatted(
            canRunGuests(),
            checksJson,
            backEnds.stream().map(Diagnosis::quoted).collect(Collectors.joining(", ")),
            tiersJson);
  }

  private static String quoted(String text) {
    StringBuilder json = new StringBuilder("\"");
    for (int i = 0; i < text.length(); i++) {
      char c = text.charAt(i);
      switch (c) {
        case '"', '\\' -> json.append('\\').append(c);
        case '\n' -> json.append("\\n");
        default -> {
          if (c < ' ') {
            json.append("\\u%04x".formatted((int) c));
          } else {
            json.append(c);
          }
        }
      }
    }
    return json.append('"').toString();
  }
}

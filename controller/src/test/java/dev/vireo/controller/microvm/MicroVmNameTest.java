package dev.vireo.controller.microvm;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.Optional;
import java.util.Random;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

final class MicroVmNameTest {
  private static final Pattern ID = Pattern.compile(MicroVmName.ID_PATTERN);
  private static final Pattern NAME =
      Pattern.compile("projects/(%1$s)/microvms/(%1$s)".formatted("[^/]+"));

  private static Optional<MicroVmName> byPattern(String name) {
    Matcher matcher = NAME.matcher(name);
    return matcher.matches()
            && ID.matcher(matcher.group(1)).matches()
            && ID.matcher(matcher.group(2)).matches()
        ? Optional.of(new MicroVmName(matcher.group(1), matcher.group(2)))
        : Optional.empty();
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "projects/a/microvms/b",
        "projects/microvms/microvms/microvms",
        "projects/a-1/microvms/b-2",
        "projects/a/microvms/b/",
        "projects/a/microvms/b/c",
        "projects/a/b/microvms/c",
        "projects//microvms/b",
        "projects/a/microvms/",
        "projects/microvms/b",
        "projects/",
        "/microvms/",
        "",
        "project/a/microvms/b",
        "projects/A/microvms/b",
        "projects/a/microvms/1b",
        "projects/a/microvms/b-",
        "projects/a/microvms/\u00e9",
      })
  void aNameIsWhatThePatternSays(String name) {
    assertEquals(byPattern(name), MicroVmName.parse(name));
  }

  @Test
  void anIdIsWhatThePatternSays() {
    Random random = new Random(7);
    String letters = "abz019-A/_`{:";
    for (int i = 0; i < 100_000; i++) {
      StringBuilder id = new StringBuilder(i % 2 == 0 ? "" : "a".repeat(random.nextInt(63)));
      for (int length = random.nextInt(5); length > 0; length--) {
        id.append(letters.charAt(random.nextInt(letters.length())));
      }
      assertEquals(ID.matcher(id).matches(), MicroVmName.isId(id.toString()), id.toString());
    }
  }

  @Test
  void whatIsParsedIsSaidAgain() {
    String name = "projects/p/microvms/m";

    assertEquals(Optional.of(name), MicroVmName.parse(name).map(MicroVmName::toString));
    assertEquals(Optional.of("p"), MicroVmName.parseParent("projects/p"));
    assertEquals(Optional.empty(), MicroVmName.parseParent("projects/p/"));
  }
}

package dev.vireo.fuzz;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** What the fuzzer begins with harms nobody, and gets where it is meant to get. */
@Timeout(60)
class SeedsTest {
  static Stream<Target> targets() {
    return Target.ALL.stream();
  }

  @ParameterizedTest
  @MethodSource("targets")
  void harmNobody(Target target) {
    try (Examination examination = new Examination(target, false)) {
      for (Map.Entry<String, byte[]> seed : Seeds.all().entrySet()) {
        try {
          Map<String, Long> ignored = examination.run(seed.getValue());
        } catch (RuntimeException | AssertionError e) {
          throw new AssertionError(seed.getKey(), e);
        }
      }
    }
  }

  @ParameterizedTest
  @MethodSource("targets")
  void doTheSameEachTime(Target target) {
    try (Examination examination = new Examination(target, false)) {
      for (Map.Entry<String, byte[]> seed : Seeds.all().entrySet()) {
        Map<String, Long> first = withoutInterrupts(examination.run(seed.getValue()));
        assertEquals(first, withoutInterrupts(examination.run(seed.getValue())), seed.getKey());
      }
    }
  }

  /** How many chains are told of at once depends on the time they take. */
  private static Map<String, Long> withoutInterrupts(Map<String, Long> counters) {
    counters.keySet().removeIf(name -> name.contains("interrupts"));
    return counters;
  }

  @ParameterizedTest
  @MethodSource("targets")
  void haveRequestsAnswered(Target target) {
    String requests = "queue" + target.request().queue() + ".requests";
    try (Examination examination = new Examination(target, false)) {
      Map.of("request", 1L, "indirect-request", 1L, "many-requests", 10L, "reset-and-again", 2L)
          .forEach((seed, count) ->
              assertEquals(count, examination.run(Seeds.named(seed)).get(requests), seed));
    }
  }

  @ParameterizedTest
  @MethodSource("targets")
  void breakTheRing(Target target) {
    try (Examination examination = new Examination(target, false)) {
      for (String seed :
          new String[] {"loop", "index-jump", "head-just-out-of-range", "next-just-out-of-range"}) {
        Map<String, Long> counted = examination.run(Seeds.named(seed));
        assertTrue(
            counted.containsKey("illegal.ring") || !usesFirstQueue(target),
            () -> seed + ": " + counted);
      }
    }
  }

  /** These seeds break the first queue, which not every device looks into before it must. */
  private static boolean usesFirstQueue(Target target) {
    return target.request().queue() == 0;
  }
}

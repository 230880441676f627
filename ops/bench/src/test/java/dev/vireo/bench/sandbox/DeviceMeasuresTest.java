package dev.vireo.bench.sandbox;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import org.junit.jupiter.api.Test;

final class DeviceMeasuresTest {
  @Test
  void theAnswerIsBehindWhatIsSaidOfTheProgress() throws IOException {
    String answer = "{\n  \"net\": {\"a\": 1}\n}\n";

    assertEquals(
        1,
        DeviceMeasures.answer("Starting …\nRound 1 of 3: x …\n" + answer)
            .getAsJsonObject("net")
            .get("a")
            .getAsInt());
    assertTrue(DeviceMeasures.answer(answer).has("net"));
  }

  @Test
  void whatIsNoAnswerIsShown() {
    for (String output : new String[] {"", "Starting …\n", "Starting …\n{\"net\": {"}) {
      IOException problem =
          assertThrows(IOException.class, () -> DeviceMeasures.answer(output), output);
      assertTrue(problem.toString().endsWith(output), problem.toString());
    }
  }
}

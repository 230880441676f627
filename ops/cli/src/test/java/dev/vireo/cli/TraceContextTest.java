package dev.vireo.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What a command tells the controller of the trace that it is part of. */
class TraceContextTest {
  private static final String TRACEPARENT =
      "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

  @Test
  void eachCallHasTheTraceparentOfTheEnvironment() {
    try (FakeController controller = new FakeController()) {
      assertEquals(0, new Cli(controller).with("TRACEPARENT", TRACEPARENT).run("list"));
      assertEquals(List.of(TRACEPARENT), controller.traceparents);
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"", "what", TRACEPARENT + "\n", TRACEPARENT + "é"})
  void whatIsNoneIsNotSent(String none) {
    try (FakeController controller = new FakeController()) {
      assertEquals(0, new Cli(controller).with("TRACEPARENT", none).run("list"));
      assertEquals(List.of(), controller.traceparents);
    }
  }

  @Test
  void withoutOneNothingIsSent() {
    try (FakeController controller = new FakeController()) {
      assertEquals(0, new Cli(controller).run("list"));
      assertEquals(List.of(), controller.traceparents);
    }
  }
}

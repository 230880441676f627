package dev.vireo.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.vireo.proto.v1.Condition;
import dev.vireo.proto.v1.Event;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** What has become of microVMs. */
final class EventsCommandTest {
  private final FakeController controller = new FakeController();
  private final Cli cli = new Cli(controller);

  @AfterEach
  void stop() {
    controller.close();
  }

  @Test
  void aLineForEachThatTellsWhatIsSoAndWhatIsNot() {
    controller.events.add(event("one", "Created", "Created").build());
    controller.events.add(
        event("one", "Scheduled", "Unschedulable")
            .setStatus(Condition.Status.FALSE)
            .setMessage("no node has joined yet")
            .build());
    controller.events.add(
        event("two", "Started", "Started")
            .setStatus(Condition.Status.TRUE)
            .setNode("nodes/a")
            .build());

    assertEquals(ExitCode.OK, cli.run("events"));
    assertEquals(
        """
        AGE  NAME  TYPE           REASON         NODE  MESSAGE
        5s   one   Created        Created        -
        5s   one   not Scheduled  Unschedulable  -     no node has joined yet
        5s   two   Started        Started        a
        """,
        cli.out());

    cli.run("events", "two", "-o", "name");
    assertEquals("projects/default/microvms/two\n", cli.out());
  }

  private static Event.Builder event(String id, String type, String reason) {
    return Event.newBuilder()
        .setResource("projects/default/microvms/" + id)
        .setTime(FakeController.timestamp(FakeController.NOW.minusSeconds(5)))
        .setType(type)
        .setReason(reason);
  }
}

package dev.vireo.cli;

import dev.vireo.proto.v1.Condition;
import dev.vireo.proto.v1.Event;
import dev.vireo.proto.v1.ListEventsRequest;
import dev.vireo.proto.v1.ListEventsResponse;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Parameters;

/** {@code vireo events}. */
@Command(
    name = "events",
    description = "Tells what has become of microVMs of late, the oldest first.",
    footer = {
      "The controller remembers the last 10,000 since it began. Reasons are those of conditions:",
      "controller/LIFECYCLE.md."
    })
final class EventsCommand implements Callable<Integer> {
  private static final int PAGE_SIZE = 1_000;

  private final Environment environment;

  @Mixin private final ServerOptions server = new ServerOptions();
  @Mixin private final OutputOptions output = new OutputOptions();

  @Parameters(
      arity = "0..1",
      paramLabel = "NAME",
      description = "Of one microVM. Default: of all of the project.")
  private @Nullable String name;

  EventsCommand(Environment environment) {
    this.environment = environment;
  }

  @Override
  public Integer call() {
    try (Api api = server.connect(environment)) {
      List<Event> events = list(api, name == null ? api.parent() : api.microVmName(name));
      switch (output.format()) {
        case JSON ->
            environment
                .out()
                .println(
                    OutputOptions.json(
                        ListEventsResponse.newBuilder().addAllEvents(events).build()));
        case NAME -> events.forEach(event -> environment.out().println(event.getResource()));
        case TABLE, WIDE -> print(events);
      }
      return ExitCode.OK;
    }
  }

  private static List<Event> list(Api api, String parent) {
    List<Event> all = new ArrayList<>();
    ListEventsRequest.Builder request =
        ListEventsRequest.newBuilder().setParent(parent).setPageSize(PAGE_SIZE);
    ListEventsResponse page;
    do {
      page = api.events().listEvents(request.build());
      all.addAll(page.getEventsList());
      request.setPageToken(page.getNextPageToken());
    } while (page.getEventsCount() == PAGE_SIZE);
    return all;
  }

  private void print(List<Event> events) {
    Instant now = environment.clock().instant();
    Table table = new Table("AGE", "NAME", "TYPE", "REASON", "NODE", "MESSAGE");
    for (Event event : events) {
      table.add(
          Text.age(event.getTime(), now),
          Api.id(event.getResource()),
          (event.getStatus() == Condition.Status.FALSE ? "not " : "") + event.getType(),
          event.getReason(),
          Text.orDash(Api.id(event.getNode())),
          event.getMessage());
    }
    table.print(environment.out());
  }
}

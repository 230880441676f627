package dev.vireo.controller.api;

import static dev.vireo.controller.testing.TestController.name;
import static dev.vireo.controller.testing.TestController.probe;
import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.vireo.controller.testing.ControllerTest;
import dev.vireo.controller.testing.FakeWorker;
import dev.vireo.controller.testing.TestController;
import dev.vireo.proto.errors.ErrorReason;
import dev.vireo.proto.v1.DeleteMicroVmRequest;
import dev.vireo.proto.v1.Event;
import dev.vireo.proto.v1.ListEventsRequest;
import dev.vireo.proto.v1.ListEventsResponse;
import dev.vireo.proto.v1.MicroVmState;
import dev.vireo.proto.v1.Termination;
import dev.vireo.proto.worker.v1.Assignment;
import dev.vireo.proto.worker.v1.MicroVmReport.Outcome;
import java.util.List;
import org.junit.jupiter.api.Test;

/** What is told of what has become of microVMs. */
final class EventsTest extends ControllerTest {
  @Test
  void aLifeIsToldByItsConditionsOnceEach() {
    create(probe("vm"));
    FakeWorker worker = controller.join("a");
    Assignment assignment = worker.nextAssignment();
    worker.report(FakeWorker.running(assignment));
    awaitState("vm", MicroVmState.RUNNING);
    worker.report(FakeWorker.running(assignment).setReady(true).setRestarts(1));
    worker.report(
        FakeWorker.about(assignment, Outcome.CREATED)
            .setState(MicroVmState.STOPPED)
            .setTermination(
                Termination.newBuilder()
                    .setCause(Termination.Cause.GUEST_POWER_OFF)
                    .setMessage("ACPI S5")));
    awaitState("vm", MicroVmState.STOPPED);
    var _ =
        controller
            .client()
            .deleteMicroVm(DeleteMicroVmRequest.newBuilder().setName(name("vm")).build());
    worker.report(FakeWorker.removed(assignment.getUid()));
    awaitGone("vm");

    List<String> told =
        events(name("vm"), "").getEventsList().stream()
            .filter(event -> !event.getType().equals("Ready")) // Reports may be coalesced.
            .map(event -> event.getType() + " " + event.getStatus() + " " + event.getReason())
            .toList();
    assertEquals(
        List.of(
            "Created STATUS_UNSPECIFIED Created",
            "Scheduled FALSE Unschedulable",
            "Scheduled TRUE Assigned",
            "Prepared TRUE Prepared",
            "Started TRUE Started",
            "Finished TRUE GuestPowerOff",
            "Deleting STATUS_UNSPECIFIED Deleting",
            "Deleted STATUS_UNSPECIFIED Deleted"),
        told);
    Event scheduled = events(name("vm"), "").getEvents(2);
    assertEquals("nodes/a", scheduled.getNode());
    assertEquals(assignment.getUid(), scheduled.getUid());
  }

  @Test
  void aTokenGoesOnWhereThePageBeforeEndedAlsoAfterTheEnd() {
    create(probe("one"));
    create(probe("two"));

    ListEventsResponse first = events(TestController.PARENT, "", 1);
    assertEquals(List.of("one Created"), told(first));
    ListEventsResponse rest = events(TestController.PARENT, first.getNextPageToken());
    assertEquals(List.of("one Unschedulable", "two Created", "two Unschedulable"), told(rest));
    assertEquals(List.of(), told(events(TestController.PARENT, rest.getNextPageToken())));

    create(probe("three"));
    assertEquals(
        List.of("three Created", "three Unschedulable"),
        told(events(TestController.PARENT, rest.getNextPageToken())));
  }

  @Test
  void onlySoManyAreRememberedAndWhoComesLateIsToldHowManyItMissed() {
    ListEventsResponse before = events("projects/-", "");
    for (int i = 0; i < TestController.EVENTS_REMEMBERED; i++) {
      create(probe("vm" + i));
    }

    ListEventsResponse late = events("projects/-", before.getNextPageToken());
    assertEquals(TestController.EVENTS_REMEMBERED, late.getEventsCount());
    assertEquals(TestController.EVENTS_REMEMBERED, late.getForgotten());
    assertEquals("vm10 Created", told(late).getFirst());
    assertEquals(0, events("projects/-", "").getForgotten());
  }

  /** Another's numbers say nothing of which events somebody has seen. */
  @Test
  void aTokenOfAnEarlierControllerIsRefused() {
    create(probe("one"));
    String token = events("projects/-", "").getNextPageToken();
    restart();
    create(probe("two"));

    assertRefused(ErrorReason.PAGE_TOKEN_INVALID, () -> events("projects/-", token));
    assertEquals(List.of("two Created", "two Unschedulable"), told(events("projects/-", "")));
  }

  @Test
  void aProjectHearsOfItsOwn() {
    create(probe("mine"));
    create(probe("theirs").toBuilder().setParent("projects/other").build());

    assertEquals(
        List.of("mine Created", "mine Unschedulable"), told(events(TestController.PARENT, "")));
    assertEquals(4, events("projects/-", "").getEventsCount());
    assertRefused(ErrorReason.FIELD_INVALID, () -> events("nodes/a", ""));
    assertRefused(ErrorReason.PAGE_TOKEN_INVALID, () -> events("projects/-", "x"));
  }

  private static List<String> told(ListEventsResponse response) {
    return response.getEventsList().stream()
        .map(event ->
            event.getResource().substring(event.getResource().lastIndexOf('/') + 1)
                + " "
                + event.getReason())
        .toList();
  }

  private ListEventsResponse events(String parent, String token) {
    return events(parent, token, 0);
  }

  private ListEventsResponse events(String parent, String token, int size) {
    return controller
        .eventClient()
        .listEvents(
            ListEventsRequest.newBuilder()
                .setParent(parent)
                .setPageToken(token)
                .setPageSize(size)
                .build());
  }
}

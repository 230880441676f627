package dev.vireo.controller.reconcile;

import static dev.vireo.controller.testing.TestController.probe;
import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.vireo.controller.lifecycle.ConditionType;
import dev.vireo.controller.lifecycle.Conditions;
import dev.vireo.controller.microvm.StoredMicroVm;
import dev.vireo.controller.placement.Placer;
import dev.vireo.controller.testing.ControllerTest;
import dev.vireo.scheduler.Profile;
import dev.vireo.scheduler.Scheduler;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.Test;

final class GangsTest extends ControllerTest {
  /** Else those of the earlier look would be placed alone. */
  @Test
  void oneThatIsCreatedAfterTheLookDoesNotMakeItsGangWhole() {
    create("first");
    create("second");
    List<StoredMicroVm> seen = List.copyOf(controller.microVms.all());
    create("third");
    Placer placer =
        new Placer(
            controller.microVms,
            controller.nodes,
            Scheduler.standard(Profile.LEAST_ALLOCATED),
            controller.meters);

    new Gangs(controller.microVms, placer, controller.time).placeAll(seen, _ -> Set.of(), true);

    assertEquals(
        "gang g has 2 of 3 microVMs",
        Conditions.find(get("first"), ConditionType.SCHEDULED).orElseThrow().getMessage());
  }

  private void create(String id) {
    create(
        probe(
            id,
            spec -> {
              spec.getPlacementBuilder().getGangBuilder().setName("g").setSize(3);
              return spec;
            }));
  }
}

package dev.vireo.controller.reconcile;

import static dev.vireo.controller.testing.TestController.probe;
import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.vireo.controller.lifecycle.ConditionType;
import dev.vireo.controller.lifecycle.Conditions;
import dev.vireo.controller.lifecycle.Lifecycle;
import dev.vireo.controller.microvm.MicroVmName;
import dev.vireo.controller.microvm.StoredMicroVm;
import dev.vireo.controller.placement.Placer;
import dev.vireo.controller.testing.ControllerTest;
import dev.vireo.controller.testing.TestController;
import dev.vireo.proto.store.v1.RequestRecord;
import dev.vireo.proto.v1.CreateMicroVmRequest;
import dev.vireo.proto.v1.MicroVm;
import dev.vireo.scheduler.Profile;
import dev.vireo.scheduler.Scheduler;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.junit.jupiter.api.Test;

final class GangsTest extends ControllerTest {
  /** Else those of the earlier look would be placed alone. */
  @Test
  void oneThatIsCreatedAfterTheLookDoesNotMakeItsGangWhole() {
    create("first", "");
    create("second", "");
    List<StoredMicroVm> seen = List.copyOf(controller.microVms.all());
    create("third", "");

    placeAll(seen);

    assertEquals("gang g has 2 of 3 microVMs", why("first"));
  }

  @Test
  void oneThatHasBecomeTooLargeIsToldSo() {
    String large = "x".repeat(256_000);
    for (int i = 0; i < 4; i++) {
      create("vm" + i, large);
    }
    // As one that is created in the same moment as another, and does not see it.
    MicroVm last = request("vm4", large).getMicrovm();
    String name = TestController.name("vm4");
    var _ =
        controller.microVms.create(
            MicroVmName.parse(name).orElseThrow(),
            Lifecycle.created(
                name,
                "uid",
                last.getSpec(),
                Map.of(),
                last.getMeta().getAnnotationsMap(),
                controller.time.now()),
            "",
            RequestRecord.getDefaultInstance());
    await().until(() -> exists("vm4"));
    controller.stopReconciler();
    controller.join("a");

    placeAll(List.copyOf(controller.microVms.all()));

    assertTrue(why("vm0").startsWith("gang g is larger than one commit takes"), () -> why("vm0"));
  }

  private void placeAll(List<StoredMicroVm> all) {
    Placer placer =
        new Placer(
            controller.microVms,
            controller.nodes,
            Scheduler.standard(Profile.LEAST_ALLOCATED),
            controller.meters);
    new Gangs(controller.microVms, placer, controller.time).placeAll(all, _ -> Set.of(), true);
  }

  private String why(String id) {
    return Conditions.find(get(id), ConditionType.SCHEDULED).orElseThrow().getMessage();
  }

  private void create(String id, String annotation) {
    create(request(id, annotation));
  }

  private static CreateMicroVmRequest request(String id, String annotation) {
    CreateMicroVmRequest.Builder request =
        probe(
            id,
            spec -> {
              spec.getPlacementBuilder().getGangBuilder().setName("g").setSize(3);
              return spec;
            })
            .toBuilder();
    request.getMicrovmBuilder().getMetaBuilder().putAnnotations("k", annotation);
    return request.build();
  }
}

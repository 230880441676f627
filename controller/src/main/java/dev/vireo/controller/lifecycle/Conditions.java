package dev.vireo.controller.lifecycle;

import com.google.protobuf.Timestamp;
import dev.vireo.proto.v1.Condition;
import dev.vireo.proto.v1.Condition.Status;
import dev.vireo.proto.v1.MicroVm;
import dev.vireo.proto.v1.MicroVmStatus;
import java.util.Optional;

/** Reads and sets the conditions of a microVM's status. */
public final class Conditions {
  private Conditions() {}

  public static Optional<Condition> find(MicroVm microVm, ConditionType type) {
    for (Condition condition : microVm.getStatus().getConditionsList()) {
      if (condition.getType().equals(type.apiName())) {
        return Optional.of(condition);
      }
    }
    return Optional.empty();
  }

  public static boolean isTrue(MicroVm microVm, ConditionType type) {
    return find(microVm, type).filter(c -> c.getStatus() == Status.TRUE).isPresent();
  }

  /** Sets one; its transition time moves only if its status does. */
  static void set(
      MicroVm.Builder microVm,
      ConditionType type,
      Status status,
      String reason,
      String message,
      Timestamp now) {
    Condition.Builder condition = builder(microVm, type);
    if (condition.getStatus() != status) {
      condition.setLastTransitionTime(now);
    }
    condition
        .setStatus(status)
        .setReason(reason)
        .setMessage(message)
        .setObservedGeneration(microVm.getMeta().getGeneration());
  }

  private static Condition.Builder builder(MicroVm.Builder microVm, ConditionType type) {
    MicroVmStatus.Builder status = microVm.getStatusBuilder();
    for (int i = 0; i < status.getConditionsCount(); i++) {
      if (status.getConditions(i).getType().equals(type.apiName())) {
        return status.getConditionsBuilder(i);
      }
    }
    return status.addConditionsBuilder().setType(type.apiName());
  }
}

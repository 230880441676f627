package dev.vireo.scheduler;

/** What keeps microVMs from a node unless they tolerate it. */
public record Taint(String key, String value, Effect effect) {
  /** What becomes of a microVM that does not tolerate the taint. */
  public enum Effect {
    /** It is not placed there. */
    NO_SCHEDULE,
    /** It is placed there if nothing else will do. */
    PREFER_NO_SCHEDULE,
    /** It is not placed there, and leaves if it is there. */
    NO_EXECUTE
  }

  /** As people write it: "gpu=a100:NoSchedule". */
  @Override
  public String toString() {
    String what =
        switch (effect) {
          case NO_SCHEDULE -> "NoSchedule";
          case PREFER_NO_SCHEDULE -> "PreferNoSchedule";
          case NO_EXECUTE -> "NoExecute";
        };
    return (value.isEmpty() ? key : key + "=" + value) + ":" + what;
  }
}

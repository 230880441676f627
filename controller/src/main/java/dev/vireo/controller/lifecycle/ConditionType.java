package dev.vireo.controller.lifecycle;

/** The aspects of a microVM's status. The names are API. */
public enum ConditionType {
  SCHEDULED("Scheduled", "A node has been chosen."),
  PREPARED("Prepared", "The node has what the spec asks for: kernel, disks, memory."),
  STARTED("Started", "The guest has run its first instruction."),
  READY(
      "Ready",
      "The console has shown the ready marker, or its first byte; of a container, its process runs,"
          + " and its HTTP server, if it has one, is there."),
  FINISHED("Finished", "The guest has ended, or will never begin.");

  private final String apiName;
  private final String meaning;

  ConditionType(String apiName, String meaning) {
    this.apiName = apiName;
    this.meaning = meaning;
  }

  /** As in {@code Condition.type}. */
  public String apiName() {
    return apiName;
  }

  /** What is so when the condition is TRUE. */
  public String meaning() {
    return meaning;
  }
}

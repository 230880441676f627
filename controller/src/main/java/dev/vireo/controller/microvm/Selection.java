package dev.vireo.controller.microvm;

import java.util.Map;

/**
 * Which microVMs a list or a watch is about.
 *
 * @param project its id, or {@value #ALL_PROJECTS}
 * @param labels that a microVM must have, all of them
 */
public record Selection(String project, Map<String, String> labels) {
  /** In place of a project's id (AIP-159). */
  public static final String ALL_PROJECTS = "-";

  public Selection {
    labels = Map.copyOf(labels);
  }

  boolean matches(StoredMicroVm microVm) {
    return microVm.key().startsWith(keyPrefix())
        && microVm.microVm().getMeta().getLabelsMap().entrySet().containsAll(labels.entrySet());
  }

  String keyPrefix() {
    return project.equals(ALL_PROJECTS)
        ? MicroVmName.KEY_PREFIX
        : MicroVmName.KEY_PREFIX + project + "/";
  }
}

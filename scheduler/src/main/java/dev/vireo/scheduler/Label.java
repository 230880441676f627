package dev.vireo.scheduler;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/** A label that microVMs of one project have. */
record Label(String project, String key, String value) {
  static List<Label> of(String project, Map<String, String> labels) {
    List<Label> all = new ArrayList<>(labels.size());
    labels.forEach((key, value) -> all.add(new Label(project, key, value)));
    return all;
  }
}

package dev.vireo.images;

import static java.util.stream.Collectors.joining;

import dev.vireo.images.container.ContainerImage;
import dev.vireo.images.container.ContainerImageCache.Listed;
import dev.vireo.images.container.ImageName;
import java.io.PrintStream;
import java.time.temporal.ChronoUnit;
import java.util.List;

/** How container images are listed. */
final class ContainerImageForms {
  private static final int SHORT_ID = 12;

  private ContainerImageForms() {}

  static void printTable(List<Listed> images, PrintStream out) {
    String line = "%-44s %-12s %-12s %10s  %-20s %s%n";
    out.printf(line, "CONTAINER IMAGE", "ARCHITECTURE", "ID", "ROOT", "LAST USE", "IN USE");
    for (Listed listed : images) {
      ContainerImage image = listed.image();
      out.printf(
          line,
          listed.names().isEmpty()
              ? "(no name)"
              : listed.names().stream().map(ImageName::toString).collect(joining(" ")),
          image.settings().architecture().label(),
          image.id().hex().substring(0, SHORT_ID),
          ByteSize.text(image.rootBytes()),
          listed.lastUse().truncatedTo(ChronoUnit.SECONDS),
          listed.inUse() ? "yes" : "no");
    }
  }

  /** Names, IDs and times need no escaping: none may hold a quote, a backslash or a control. */
  static String json(List<Listed> images) {
    return images.stream()
        .map(listed ->
            """
            {"id": "%s", "names": [%s], "architecture": "%s", "rootBytes": %d, "lastUse": "%s", "inUse": %s}\
            """
                .formatted(
                    listed.image().id(),
                    listed.names().stream().map(name -> "\"" + name + "\"").collect(joining(", ")),
                    listed.image().settings().architecture().label(),
                    listed.image().rootBytes(),
                    listed.lastUse(),
                    listed.inUse()))
        .collect(joining(",\n  ", "\"containerImages\": [\n  ", "\n]"));
  }
}

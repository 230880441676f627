package dev.vireo.images;

import static dev.vireo.images.ImageException.Reason.INPUT_MISSING;
import static dev.vireo.images.ImageException.Reason.TOOL_FAILED;
import static java.nio.charset.StandardCharsets.UTF_8;
import static java.util.stream.Collectors.joining;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Set;
import java.util.stream.Collectors;

/**
 * What a guest kernel of ours is to have, as lines of a kernel's {@code .config}: {@code
 * common.config} and {@code ARCH.config} of {@code ops/guest/kernel}. All else is off.
 *
 * @param text both, comments included
 */
record KernelConfig(String text) {
  /**
   * Reads it from the source tree.
   *
   * @throws ImageException INPUT_MISSING
   */
  static KernelConfig read(Path sourceTree, Architecture architecture) throws ImageException {
    StringBuilder text = new StringBuilder();
    for (String part : List.of("common", architecture.label())) {
      Path file = sourceTree.resolve("ops/guest/kernel").resolve(part + ".config");
      try {
        text.append(Files.readString(file, UTF_8));
      } catch (IOException e) {
        throw new ImageException(
            INPUT_MISSING, "cannot read the kernel's configuration %s: %s".formatted(file, e), e);
      }
    }
    return new KernelConfig(text.toString());
  }

  /**
   * Compares with what the kernel's own rules have made of it: they leave out, and say nothing,
   * what depends on an option that is off.
   *
   * @param result a whole {@code .config}
   * @throws ImageException TOOL_FAILED, naming the options that were lost
   */
  void requireIn(String result) throws ImageException {
    Set<String> lines = result.lines().collect(Collectors.toSet());
    String lost =
        text.lines()
            .filter(line -> line.startsWith("CONFIG_") && !lines.contains(line))
            .collect(joining(", "));
    if (!lost.isEmpty()) {
      throw new ImageException(
          TOOL_FAILED, "the kernel's own rules drop %s: what does it depend on?".formatted(lost));
    }
  }
}

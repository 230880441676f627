package dev.vireo.oci;

import static java.nio.charset.StandardCharsets.ISO_8859_1;
import static java.nio.charset.StandardCharsets.UTF_8;
import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.IOException;
import java.nio.charset.Charset;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Collectors;

/** A squashfs, read back by programs that others wrote. */
record Squashed(Path file) {
  /** A line for each file, sorted, as gensquashfs takes them; names are bytes. */
  String description() throws IOException, InterruptedException {
    return run(List.of("rdsquashfs", "--describe", file.toString()), ISO_8859_1)
        .lines()
        .sorted()
        .collect(Collectors.joining("\n", "", "\n"));
  }

  /** As ls writes it. */
  String listing() {
    try {
      return run(List.of("unsquashfs", "-lln", file.toString()), UTF_8);
    } catch (IOException | InterruptedException e) {
      throw new IllegalStateException(e);
    }
  }

  String text(String path) throws IOException, InterruptedException {
    return run(List.of("rdsquashfs", "--cat", path, file.toString()), UTF_8);
  }

  String extendedAttributes(String path) throws IOException, InterruptedException {
    return run(List.of("rdsquashfs", "--xattr", path, file.toString()), ISO_8859_1);
  }

  /** Some of its files, in a directory that is made. */
  Path extract(Path directory, String... paths) throws IOException, InterruptedException {
    List<String> command =
        new ArrayList<>(List.of("unsquashfs", "-no-xattrs", "-no-progress", "-d"));
    command.addAll(List.of(directory.toString(), file.toString()));
    command.addAll(List.of(paths));
    var _ = run(command, UTF_8);
    return directory;
  }

  private static String run(List<String> command, Charset charset)
      throws IOException, InterruptedException {
    ProcessBuilder builder = new ProcessBuilder(command);
    builder.environment().put("TZ", "UTC");
    Process process = builder.redirectError(ProcessBuilder.Redirect.INHERIT).start();
    byte[] output = process.getInputStream().readAllBytes();
    assertEquals(0, process.waitFor(), command::toString);
    return new String(output, charset);
  }
}

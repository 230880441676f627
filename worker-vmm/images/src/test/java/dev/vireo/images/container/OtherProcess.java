package dev.vireo.images.container;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.file.Path;

/** Another process that has the same cache, and does what it is asked. */
final class OtherProcess implements AutoCloseable {
  private final Process process;
  private final BufferedReader answers;

  OtherProcess(Path cache) throws IOException {
    process =
        new ProcessBuilder(
                Path.of(System.getProperty("java.home", ""), "bin/java").toString(),
                "-XX:TieredStopAtLevel=1",
                "-cp",
                System.getProperty("java.class.path"),
                OtherProcess.class.getName(),
                cache.toString())
            .redirectError(ProcessBuilder.Redirect.INHERIT)
            .start();
    answers = process.inputReader(UTF_8);
  }

  /** Returns when it is done. */
  void ask(String command) throws IOException {
    process.getOutputStream().write((command + "\n").getBytes(UTF_8));
    process.getOutputStream().flush();
    assertEquals("done", answers.readLine());
  }

  void kill() throws InterruptedException {
    process.destroyForcibly().waitFor();
  }

  @Override
  public void close() {
    process.destroyForcibly();
  }

  /** The other process. */
  public static void main(String[] arguments) throws Exception {
    ContainerImageCache cache = ContainerImageCache.of(Path.of(arguments[0]));
    try (BufferedReader commands = new BufferedReader(new InputStreamReader(System.in, UTF_8))) {
      for (String line = commands.readLine(); line != null; line = commands.readLine()) {
        String[] words = line.split(" ", 2);
        switch (words[0]) {
          // Never closed: the kernel ends it with this process.
          case "use" -> {
            var _ = cache.use(ImageId.parse(words[1]));
          }
          case "sweep" -> cache.sweep();
          case "prune" -> cache.prune(Long.MAX_VALUE);
          default -> throw new IllegalArgumentException(line);
        }
        System.out.println("done");
      }
    }
  }
}

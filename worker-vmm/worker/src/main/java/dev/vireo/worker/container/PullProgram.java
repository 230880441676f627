package dev.vireo.worker.container;

import static java.nio.charset.StandardCharsets.UTF_8;

import com.google.protobuf.InvalidProtocolBufferException;
import com.google.protobuf.Struct;
import com.google.protobuf.Value;
import com.google.protobuf.util.JsonFormat;
import dev.vireo.images.Architecture;
import dev.vireo.images.ImageException;
import dev.vireo.images.container.ImageId;
import dev.vireo.images.container.ImageName;
import java.io.BufferedReader;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.function.LongConsumer;

/**
 * The program that brings a container image into this node's cache ({@code worker-vmm/oci}): a
 * process for each pull, so that neither what a registry sends nor its memory is this worker's. One
 * that outlives this worker ends by itself, with the image in the cache.
 *
 * @param command that it is started with, before the arguments of one pull
 * @param cache the directory that it fills
 */
public record PullProgram(List<String> command, Path cache) {
  public PullProgram {
    command = List.copyOf(command);
  }

  /**
   * The program as it is built or installed, by the Java that runs this.
   *
   * @param emulated where compiling well costs a pull more than it brings: a fifth of its time
   */
  public static PullProgram in(Path home, Path cache, boolean emulated) {
    return new PullProgram(
        List.of(
            Path.of(System.getProperty("java.home"), "bin/java").toString(),
            "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=" + (emulated ? 1 : 4),
            "-Xmx512m",
            "--sun-misc-unsafe-memory-access=allow",
            "-cp",
            home.resolve("lib") + "/*",
            "dev.vireo.oci.Main"),
        cache);
  }

  /** How a pull has ended. */
  public sealed interface Outcome {
    /**
     * The image is in the cache.
     *
     * @param name that it was given there
     */
    record Pulled(ImageId image, String name) implements Outcome {}

    /** It has told why not. */
    record Refused(ImageException.Reason reason, String message) implements Outcome {}

    /** It has not. */
    record Broken(String message) implements Outcome {}
  }

  /** One that goes on. */
  public static final class Pull {
    private final CompletableFuture<Outcome> end = new CompletableFuture<>();
    private final Process process;
    private volatile boolean stopped;

    private Pull(Process process) {
      this.process = process;
    }

    /** Its end, which is never a failure. */
    public CompletableFuture<Outcome> end() {
      return end;
    }

    /** Ends it, and has it remove what it has begun. */
    public void stop() {
      stopped = true;
      process.destroy();
    }
  }

  /** Starts one of a name, which may look like a file. Returns at once. */
  public Pull start(String image, Architecture architecture) throws IOException {
    return start(List.of("--registry", image), Optional.empty(), architecture, _ -> {});
  }

  /**
   * Starts one. Returns at once.
   *
   * @param source a name, or a file as the program takes it
   * @param name of the image in the cache, instead of what its source calls it
   * @param progress is told now and then how many bytes of a phase are done
   */
  public Pull start(
      String source, Optional<ImageName> name, Architecture architecture, LongConsumer progress)
      throws IOException {
    return start(List.of(source), name, architecture, progress);
  }

  private Pull start(
      List<String> source,
      Optional<ImageName> name,
      Architecture architecture,
      LongConsumer progress)
      throws IOException {
    List<String> line = new ArrayList<>(command);
    line.add("pull");
    line.addAll(source);
    line.addAll(List.of("--arch", architecture.label()));
    name.ifPresent(given -> line.addAll(List.of("--as", given.toString())));
    line.addAll(List.of("--container-dir", cache.toString(), "--progress", "json"));
    Pull pull = new Pull(new ProcessBuilder(line).redirectErrorStream(true).start());
    Thread.ofVirtual()
        .name("pull-" + source.getLast())
        .start(() -> pull.end.complete(outcome(pull, progress)));
    return pull;
  }

  /** Reads it to its end. The last object on a line of its own tells what has become of it. */
  private static Outcome outcome(Pull pull, LongConsumer progress) {
    Struct last = Struct.getDefaultInstance();
    String other = "it said nothing";
    try (BufferedReader lines = pull.process.inputReader(UTF_8)) {
      for (String line = lines.readLine(); line != null; line = lines.readLine()) {
        if (line.startsWith("{")) {
          last = parse(line);
          if (last.containsFields("doneBytes")) {
            progress.accept((long) last.getFieldsOrThrow("doneBytes").getNumberValue());
          }
        } else if (!line.isBlank()) {
          other = line;
        }
      }
      int status = pull.process.waitFor();
      return pull.stopped ? new Outcome.Broken("it was stopped") : outcome(last, status, other);
    } catch (IOException e) {
      return new Outcome.Broken(e.toString());
    } catch (InterruptedException e) {
      pull.process.destroy();
      return new Outcome.Broken("this worker ends");
    } catch (ImageException e) {
      return new Outcome.Broken(String.valueOf(e.getMessage()));
    }
  }

  private static Struct parse(String line) throws InvalidProtocolBufferException {
    Struct.Builder object = Struct.newBuilder();
    JsonFormat.parser().merge(line, object);
    return object.build();
  }

  private static Outcome outcome(Struct last, int status, String other) throws ImageException {
    if (last.containsFields("image")) {
      return new Outcome.Pulled(ImageId.parse(text(last, "image")), text(last, "name"));
    }
    if (last.containsFields("error")) {
      Struct error = last.getFieldsOrThrow("error").getStructValue();
      return refused(text(error, "reason"), text(error, "message"));
    }
    return new Outcome.Broken("it ended with status %d: %s".formatted(status, other));
  }

  private static Outcome refused(String name, String message) {
    for (ImageException.Reason reason : ImageException.Reason.values()) {
      if (reason.name().equals(name)) {
        return new Outcome.Refused(reason, message);
      }
    }
    return new Outcome.Broken(message);
  }

  private static String text(Struct object, String field) {
    return object.getFieldsOrDefault(field, Value.getDefaultInstance()).getStringValue();
  }
}

package dev.vireo.oci;

import dev.vireo.images.Architecture;
import dev.vireo.images.Commands;
import dev.vireo.images.DebianPackage;
import dev.vireo.images.DebianPackages;
import dev.vireo.images.ImageException;
import dev.vireo.images.VireoCache;
import dev.vireo.images.container.ContainerImage;
import dev.vireo.images.container.ContainerImageCache;
import dev.vireo.images.container.ImageName;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;

/**
 * Pulls a container image into a node's cache: {@code pull SOURCE [--registry] [--as NAME] [--arch
 * ARCH] [--container-dir CACHE] [--progress auto|json|none]}. With {@code --registry} the source is
 * a name, whatever it looks like. Prints the image's ID; with {@code --progress json} objects on
 * lines, of which the last has {@code image} or {@code error}. Exit status: 0 done, 1 cannot be
 * done, 2 wrong arguments.
 */
public final class Main {
  /** Debian's, for an architecture that is not this machine's. */
  private static final String RELEASE = "bookworm";

  private Main() {}

  public static void main(String[] arguments) {
    // What Jib's HTTP client notes of its own attempts would stand in the progress.
    System.setProperty("org.apache.commons.logging.Log", "org.apache.commons.logging.impl.NoOpLog");
    boolean terminal = Boolean.getBoolean("vireo.stderr.terminal");
    System.exit(run(List.of(arguments), System.out, System.err, terminal));
  }

  static int run(List<String> words, PrintStream out, PrintStream err, boolean terminal) {
    Arguments arguments;
    try {
      arguments = Arguments.parse(words);
    } catch (UsageException e) {
      err.println("error: " + e.getMessage());
      err.println("  remedy: see vireo image pull --help");
      return 2;
    }
    try {
      pull(arguments, out, err, terminal);
      return 0;
    } catch (ImageException e) {
      return failed(arguments, e.reason().name(), String.valueOf(e.getMessage()), out, err);
    } catch (IOException e) {
      return failed(arguments, "IO", e.toString(), out, err);
    } catch (OutOfMemoryError e) {
      return failed(
          arguments,
          "OUT_OF_MEMORY",
          "the image's manifest or its number of files is more than this program's memory holds",
          out,
          err);
    }
  }

  private static int failed(
      Arguments arguments, String reason, String message, PrintStream out, PrintStream err) {
    if (arguments.progress() == ProgressForm.JSON) {
      out.println(Json.write(Map.of("error", Map.of("reason", reason, "message", message))));
    } else {
      err.println("error: " + message);
    }
    return 1;
  }

  private static void pull(Arguments arguments, PrintStream out, PrintStream err, boolean terminal)
      throws IOException, ImageException {
    ProgressBar bar = new ProgressBar(err, terminal, System::nanoTime);
    PullProgress progress =
        switch (arguments.progress()) {
          case AUTO -> bar;
          case JSON -> new JsonProgress(out, System::nanoTime);
          case NONE -> PullProgress.NONE;
        };
    ContainerImage image;
    ImageName name;
    try (ImageSource source = source(arguments)) {
      SourceImage found = source.resolve(arguments.architecture());
      name = arguments.name().or(found::name).orElseThrow(() -> unnamed(arguments.source()));
      try (ContainerImageCache.Use use = new Pull(arguments.cache(), progress).run(source, found)) {
        image = use.image();
        arguments.cache().name(name, image.id());
      }
    } finally {
      if (arguments.progress() == ProgressForm.AUTO) {
        bar.end();
      }
    }
    if (arguments.progress() == ProgressForm.JSON) {
      out.println(Json.write(description(name, image)));
    } else {
      out.println(image.id());
    }
  }

  private static ImageSource source(Arguments arguments) throws IOException, ImageException {
    Optional<ImageSource> local =
        arguments.registry() ? Optional.empty() : Sources.open(arguments.source());
    return local.isPresent() ? local.get() : named(ImageName.parse(arguments.source()));
  }

  private static ImageSource named(ImageName name) throws IOException, ImageException {
    return switch (name) {
      case ImageName.BuiltIn _ -> new BusyboxSource(Main::busyboxPackage);
      case ImageName.InRegistry inRegistry ->
          new RegistrySource(
              inRegistry,
              Credentials.of(System.getenv(), Path.of(System.getProperty("user.home", "/"))),
              RegistrySource.STALLED,
              System::nanoTime,
              Thread::sleep);
    };
  }

  private static DebianPackage busyboxPackage(Architecture architecture) throws ImageException {
    return DebianPackages.of(
            VireoCache.ofEnvironment(), RELEASE, architecture, Commands.ofHost(), step -> {})
        .fetch("busybox-static");
  }

  private static ImageException unnamed(String source) {
    return new ImageException(
        ImageException.Reason.NAME_INVALID,
        "%s gives its image no name that it can have here: give it one by --as NAME"
            .formatted(source));
  }

  private static Map<String, Object> description(ImageName name, ContainerImage image) {
    Map<String, Object> description = new TreeMap<>();
    description.put("image", image.id().toString());
    description.put("name", name.toString());
    description.put("root", image.root().toString());
    description.put("rootBytes", image.rootBytes());
    return description;
  }

  private enum ProgressForm {
    AUTO,
    JSON,
    NONE
  }

  private record Arguments(
      String source,
      boolean registry,
      Optional<ImageName> name,
      Architecture architecture,
      ContainerImageCache cache,
      ProgressForm progress) {

    static Arguments parse(List<String> words) throws UsageException {
      List<String> operands = new ArrayList<>();
      boolean registry = false;
      Optional<ImageName> name = Optional.empty();
      Architecture architecture = Architecture.ofHost();
      Optional<ContainerImageCache> cache = Optional.empty();
      ProgressForm progress = ProgressForm.AUTO;
      Iterator<String> rest = words.iterator();
      while (rest.hasNext()) {
        String word = rest.next();
        if (!word.startsWith("-")) {
          operands.add(word);
          continue;
        }
        if (word.equals("--registry")) {
          registry = true;
          continue;
        }
        // Both --option VALUE and --option=VALUE.
        int equals = word.indexOf('=');
        String option = equals < 0 ? word : word.substring(0, equals);
        if (equals < 0 && !rest.hasNext()) {
          throw new UsageException(option + " needs a value");
        }
        String value = equals < 0 ? rest.next() : word.substring(equals + 1);
        switch (option) {
          case "--as" -> name = Optional.of(name(value));
          case "--arch" -> architecture = architecture(value);
          case "--container-dir" -> cache = Optional.of(ContainerImageCache.of(Path.of(value)));
          case "--progress" -> progress = progress(value);
          default -> throw new UsageException("there is no option '%s'".formatted(word));
        }
      }
      if (operands.size() != 2 || !operands.getFirst().equals("pull")) {
        throw new UsageException("pull takes one image");
      }
      ContainerImageCache usual = ContainerImageCache.ofEnvironment(architecture);
      return new Arguments(
          operands.get(1), registry, name, architecture, cache.orElse(usual), progress);
    }

    private static ImageName name(String text) throws UsageException {
      try {
        ImageName name = ImageName.parse(text);
        if (name instanceof ImageName.InRegistry) {
          return name;
        }
      } catch (ImageException e) {
        throw new UsageException("--as: " + e.getMessage());
      }
      throw new UsageException("--as: %s is the name of Vireo's own image".formatted(text));
    }

    private static Architecture architecture(String label) throws UsageException {
      return Architecture.labelled(label)
          .orElseThrow(() -> new UsageException("there is no architecture '%s'".formatted(label)));
    }

    private static ProgressForm progress(String form) throws UsageException {
      return switch (form) {
        case "auto" -> ProgressForm.AUTO;
        case "json" -> ProgressForm.JSON;
        case "none" -> ProgressForm.NONE;
        default ->
            throw new UsageException(
                "--progress takes auto, json or none, not '%s'".formatted(form));
      };
    }
  }

  private static final class UsageException extends Exception {
    private static final long serialVersionUID = 1L;

    UsageException(String message) {
      super(message);
    }
  }
}

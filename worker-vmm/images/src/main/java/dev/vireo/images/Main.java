package dev.vireo.images;

import static java.util.stream.Collectors.joining;

import java.io.IOException;
import java.io.PrintStream;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * Builds and lists guest images: {@code build NAME} and {@code list [-o table|json]}, both with
 * {@code --arch ARCH} and {@code --dir STORE}. Exit status: 0 done, 1 cannot be done, 2 wrong
 * arguments.
 */
public final class Main {
  private Main() {}

  public static void main(String[] arguments) {
    System.exit(run(List.of(arguments), System.out, System.err));
  }

  static int run(List<String> arguments, PrintStream out, PrintStream err) {
    try {
      Arguments parsed = Arguments.parse(arguments);
      switch (parsed.words().getFirst()) {
        case "build" -> build(parsed, out, err);
        case "list" -> list(parsed, out, err);
        default ->
            throw new UsageException(
                "there is no command '%s'".formatted(parsed.words().getFirst()));
      }
      return 0;
    } catch (UsageException e) {
      err.println("error: " + e.getMessage());
      err.println("  remedy: see vireo image --help");
      return 2;
    } catch (ImageException e) {
      err.println("error: " + e.getMessage());
      return 1;
    } catch (IOException e) {
      err.println("error: " + e);
      return 1;
    }
  }

  private static void build(Arguments arguments, PrintStream out, PrintStream err)
      throws IOException, ImageException, UsageException {
    if (arguments.words().size() != 2) {
      throw new UsageException("build takes the name of an image");
    }
    ImageBuilder builder =
        ImageBuilder.of(
            arguments.store(),
            arguments.architecture(),
            VireoCache.ofEnvironment(),
            SourceTree.ofEnvironment(),
            Progress.to(err, System::nanoTime));
    out.println(builder.build(arguments.words().get(1)).directory());
  }

  private static void list(Arguments arguments, PrintStream out, PrintStream err)
      throws ImageException {
    ImageDirectory.Listing listing = arguments.store().list();
    if (arguments.json()) {
      out.println(json(listing.images()));
    } else {
      printTable(listing.images(), out);
    }
    listing.broken().forEach(broken -> err.println("unusable: " + broken.getMessage()));
  }

  private static void printTable(List<GuestImage> images, PrintStream out) {
    out.printf(
        "%-16s %-12s %-10s %-14s %s%n", "NAME", "ARCHITECTURE", "KIND", "ANNOUNCEMENTS", "MIN MIB");
    for (GuestImage image : images) {
      out.printf(
          "%-16s %-12s %-10s %-14s %d%n",
          image.name(),
          image.architecture().label(),
          image.guestKind().label(),
          image.announcements().stream().map(DeviceAnnouncement::label).collect(joining(",")),
          image.minMemoryMib());
    }
  }

  /** Names and labels need no escaping: none may hold a quote, a backslash or a control. */
  private static String json(List<GuestImage> images) {
    return images.stream()
        .map(image ->
            """
            {"name": "%s", "architecture": "%s", "guestKind": "%s", "announcements": [%s], "minMemoryMib": %d}\
            """
                .formatted(
                    image.name(),
                    image.architecture().label(),
                    image.guestKind().label(),
                    image.announcements().stream()
                        .map(announcement -> "\"" + announcement.label() + "\"")
                        .collect(joining(", ")),
                    image.minMemoryMib()))
        .collect(joining(",\n  ", "{\"images\": [\n  ", "\n]}"));
  }

  private record Arguments(
      List<String> words, Architecture architecture, ImageDirectory store, boolean json) {
    static Arguments parse(List<String> arguments) throws UsageException {
      List<String> words = new ArrayList<>();
      Architecture architecture = Architecture.ofHost();
      Optional<ImageDirectory> store = Optional.empty();
      boolean json = false;
      var rest = arguments.iterator();
      while (rest.hasNext()) {
        String argument = rest.next();
        if (!argument.startsWith("-")) {
          words.add(argument);
        } else if (!rest.hasNext()) {
          throw new UsageException(argument + " needs a value");
        } else if (argument.equals("--arch")) {
          architecture = architecture(rest.next());
        } else if (argument.equals("--dir")) {
          store = Optional.of(new ImageDirectory(Path.of(rest.next()).toAbsolutePath()));
        } else if (argument.equals("-o") || argument.equals("--output")) {
          json = parseFormat(rest.next());
        } else {
          throw new UsageException("there is no option '%s'".formatted(argument));
        }
      }
      if (words.isEmpty()) {
        throw new UsageException("a command is missing");
      }
      ImageDirectory usual = ImageDirectory.ofEnvironment(architecture);
      return new Arguments(words, architecture, store.orElse(usual), json);
    }

    private static Architecture architecture(String label) throws UsageException {
      return Architecture.labelled(label)
          .orElseThrow(() -> new UsageException("there is no architecture '%s'".formatted(label)));
    }

    private static boolean parseFormat(String format) throws UsageException {
      return switch (format) {
        case "table" -> false;
        case "json" -> true;
        default -> throw new UsageException("-o takes table or json, not '%s'".formatted(format));
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

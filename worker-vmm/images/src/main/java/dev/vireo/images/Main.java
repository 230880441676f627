package dev.vireo.images;

import static dev.vireo.images.ImageException.Reason.HOST_UNSUPPORTED;
import static java.util.stream.Collectors.joining;

import java.io.IOException;
import java.io.PrintStream;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** Builds and lists guest images. Exit status: 0 done, 1 cannot be done, 2 wrong arguments. */
public final class Main {
  private static final String USAGE =
      """
      usage: images build NAME [--arch x86_64] [--dir STORE]
             images list [--dir STORE]
      STORE defaults to $VIREO_CACHE_DIR/images, or ~/.cache/vireo/images.
      """;

  private Main() {}

  public static void main(String[] arguments) {
    System.exit(run(List.of(arguments), System.out, System.err));
  }

  static int run(List<String> arguments, PrintStream out, PrintStream err) {
    try {
      Arguments parsed = Arguments.parse(arguments);
      switch (parsed.words().getFirst()) {
        case "build" -> build(parsed, out, err);
        case "list" -> list(parsed.store(), out, err);
        default -> throw new UsageException("no command " + parsed.words().getFirst());
      }
      return 0;
    } catch (UsageException e) {
      err.println(e.getMessage() + "\n" + USAGE);
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
    if (!arguments.architecture().equals(Architecture.X86_64.label())) {
      throw new ImageException(
          HOST_UNSUPPORTED,
          "images can be built for x86_64 only yet, not for " + arguments.architecture());
    }
    ImageBuilder builder =
        ImageBuilder.of(
            arguments.store(),
            VireoCache.ofEnvironment(),
            SourceTree.ofEnvironment(),
            Progress.to(err, System::nanoTime));
    out.println(builder.build(arguments.words().get(1)).directory());
  }

  private static void list(ImageDirectory store, PrintStream out, PrintStream err)
      throws ImageException {
    ImageDirectory.Listing listing = store.list();
    out.printf(
        "%-16s %-12s %-10s %-14s %s%n", "NAME", "ARCHITECTURE", "KIND", "ANNOUNCEMENTS", "MIN MIB");
    for (GuestImage image : listing.images()) {
      out.printf(
          "%-16s %-12s %-10s %-14s %d%n",
          image.name(),
          image.architecture().label(),
          image.guestKind().label(),
          image.announcements().stream().map(DeviceAnnouncement::label).collect(joining(",")),
          image.minMemoryMib());
    }
    listing.broken().forEach(broken -> err.println("unusable: " + broken.getMessage()));
  }

  private record Arguments(List<String> words, String architecture, ImageDirectory store) {
    static Arguments parse(List<String> arguments) throws UsageException {
      List<String> words = new ArrayList<>();
      String architecture = Architecture.X86_64.label();
      ImageDirectory store = ImageDirectory.ofEnvironment();
      var rest = arguments.iterator();
      while (rest.hasNext()) {
        String argument = rest.next();
        if (!argument.startsWith("-")) {
          words.add(argument);
        } else if (!rest.hasNext()) {
          throw new UsageException(argument + " needs a value");
        } else if (argument.equals("--arch")) {
          architecture = rest.next();
        } else if (argument.equals("--dir")) {
          store = new ImageDirectory(Path.of(rest.next()).toAbsolutePath());
        } else {
          throw new UsageException("no option " + argument);
        }
      }
      if (words.isEmpty()) {
        throw new UsageException("a command is missing");
      }
      return new Arguments(words, architecture, store);
    }
  }

  private static final class UsageException extends Exception {
    private static final long serialVersionUID = 1L;

    UsageException(String message) {
      super(message);
    }
  }
}

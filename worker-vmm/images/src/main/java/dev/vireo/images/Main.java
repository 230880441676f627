package dev.vireo.images;

import static java.util.stream.Collectors.joining;

import dev.vireo.images.container.ContainerImage;
import dev.vireo.images.container.ContainerImageCache;
import dev.vireo.images.container.ImageId;
import dev.vireo.images.container.ImageName;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * Builds and lists guest images: {@code build NAME} and {@code list [-o table|json]}, both with
 * {@code --arch ARCH} and {@code --dir STORE}; and Vireo's own kernels: {@code kernel build} and
 * {@code kernel list}, with the same options. Of container images, which {@code list} shows too:
 * {@code rm NAME…} and {@code prune [--keep-free SIZE | --all]}. Exit status: 0 done, 1 cannot be
 * done, 2 wrong arguments.
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
        case "rm" -> remove(parsed, out, err);
        case "prune" -> prune(parsed, out, err);
        case "kernel" -> kernel(parsed, out, err);
        default -> throw new UsageException(unknown(parsed.words().getFirst()));
      }
      return 0;
    } catch (UsageException e) {
      err.println("error: " + e.getMessage());
      err.println("  remedy: see vireo %s --help".formatted(program(arguments)));
      return 2;
    } catch (ImageException e) {
      err.println("error: " + e.getMessage());
      return 1;
    } catch (IOException e) {
      err.println("error: " + e);
      return 1;
    }
  }

  private static String program(List<String> arguments) {
    return arguments.contains("kernel") ? "kernel" : "image";
  }

  private static String unknown(String command) {
    return "there is no command '%s'".formatted(command);
  }

  private static void build(Arguments arguments, PrintStream out, PrintStream err)
      throws IOException, ImageException, UsageException {
    if (arguments.words().size() != 2) {
      throw new UsageException("build takes the name of an image");
    }
    build(arguments, arguments.words().get(1), out, err);
  }

  private static void build(Arguments arguments, String image, PrintStream out, PrintStream err)
      throws IOException, ImageException {
    ImageBuilder builder =
        ImageBuilder.of(
            arguments.store(),
            arguments.architecture(),
            VireoCache.ofEnvironment(),
            SourceTree.ofEnvironment(),
            Progress.to(err, System::nanoTime));
    out.println(builder.build(image).directory());
  }

  private static void kernel(Arguments arguments, PrintStream out, PrintStream err)
      throws IOException, ImageException, UsageException {
    if (arguments.words().size() != 2) {
      throw new UsageException("kernel takes build or list");
    }
    switch (arguments.words().get(1)) {
      case "build" -> build(arguments, GuestKernel.NAME, out, err);
      case "list" -> listKernels(arguments.json(), out);
      default -> throw new UsageException(unknown("kernel " + arguments.words().get(1)));
    }
  }

  private static void listKernels(boolean json, PrintStream out)
      throws IOException, ImageException {
    List<GuestKernel.Built> kernels = new ArrayList<>();
    for (Architecture architecture : Architecture.values()) {
      GuestKernel.of(
              architecture,
              VireoCache.ofEnvironment(),
              SourceTree.ofEnvironment(),
              Commands.ofHost(),
              step -> {})
          .find()
          .ifPresent(kernels::add);
    }
    out.print(json ? kernelsAsJson(kernels) : kernelTable(kernels));
  }

  private static String kernelTable(List<GuestKernel.Built> kernels) {
    String line = "%-12s %-28s %-9s %s%n";
    return kernels.stream()
        .map(kernel ->
            line.formatted(
                kernel.architecture().label(),
                kernel.source(),
                kernel.isCurrent() ? "current" : "outdated",
                kernel.file()))
        .collect(joining("", line.formatted("ARCHITECTURE", "SOURCE", "CONFIG", "FILE"), ""));
  }

  private static String kernelsAsJson(List<GuestKernel.Built> kernels) {
    return kernels.stream()
        .map(kernel ->
            """
            {"name": "%s", "architecture": "%s", "source": "%s", "current": %s, "file": "%s"}\
            """
                .formatted(
                    GuestKernel.NAME,
                    kernel.architecture().label(),
                    kernel.source(),
                    kernel.isCurrent(),
                    kernel.file().toString().replace("\\", "\\\\").replace("\"", "\\\"")))
        .collect(joining(",\n  ", "{\"kernels\": [\n  ", "\n]}\n"));
  }

  private static void list(Arguments arguments, PrintStream out, PrintStream err)
      throws IOException, ImageException {
    ImageDirectory.Listing listing = arguments.store().list();
    List<ContainerImageCache.Listed> containers = arguments.containers().list();
    if (arguments.json()) {
      out.println(json(listing.images(), containers));
    } else {
      printTable(listing.images(), out);
      if (!containers.isEmpty()) {
        out.println();
        ContainerImageForms.printTable(containers, out);
      }
    }
    listing.broken().forEach(broken -> err.println("unusable: " + broken.getMessage()));
  }

  private static void remove(Arguments arguments, PrintStream out, PrintStream err)
      throws IOException, ImageException, UsageException {
    List<String> names = arguments.words().subList(1, arguments.words().size());
    if (names.isEmpty()) {
      throw new UsageException("rm takes names of container images");
    }
    ContainerImageCache cache = arguments.containers();
    for (String name : names) {
      if (ImageId.isDigest(name)) {
        cache.remove(ImageId.parse(name));
      } else if (!cache.remove(ImageName.parse(name))) {
        err.println("the image of %s stays: it is in use, or has another name".formatted(name));
      }
      out.println(name);
    }
  }

  private static void prune(Arguments arguments, PrintStream out, PrintStream err)
      throws IOException, ImageException, UsageException {
    if (arguments.words().size() != 1) {
      throw new UsageException("prune takes no names");
    }
    long floor = arguments.keepFreeBytes();
    ContainerImageCache.Pruned pruned = arguments.containers().prune(floor);
    pruned.removed().forEach(image -> out.println(image.id()));
    if (floor < Long.MAX_VALUE && pruned.freeBytes() < floor) {
      throw new ImageException(
          ImageException.Reason.DISK_FULL,
          "%s are free, not %s: what is left of images is in use"
              .formatted(ByteSize.text(pruned.freeBytes()), ByteSize.text(floor)));
    }
    err.println(
        "removed %d images, %s"
            .formatted(
                pruned.removed().size(),
                ByteSize.text(
                    pruned.removed().stream().mapToLong(ContainerImage::rootBytes).sum())));
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
  private static String json(List<GuestImage> images, List<ContainerImageCache.Listed> containers) {
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
        .collect(
            joining(
                ",\n  ",
                "{\"images\": [\n  ",
                "\n], " + ContainerImageForms.json(containers) + "}"));
  }

  private record Arguments(
      List<String> words,
      Architecture architecture,
      ImageDirectory store,
      ContainerImageCache containers,
      long keepFreeBytes,
      boolean json) {
    static Arguments parse(List<String> arguments) throws UsageException {
      List<String> words = new ArrayList<>();
      Architecture architecture = Architecture.ofHost();
      Optional<ImageDirectory> store = Optional.empty();
      Optional<ContainerImageCache> containers = Optional.empty();
      long keepFreeBytes = 0;
      boolean json = false;
      var rest = arguments.iterator();
      while (rest.hasNext()) {
        String argument = rest.next();
        if (!argument.startsWith("-")) {
          words.add(argument);
          continue;
        }
        if (argument.equals("--all")) {
          keepFreeBytes = Long.MAX_VALUE;
          continue;
        }
        // Both --option VALUE and --option=VALUE.
        int equals = argument.indexOf('=');
        String option = equals < 0 ? argument : argument.substring(0, equals);
        if (equals < 0 && !rest.hasNext()) {
          throw new UsageException(option + " needs a value");
        }
        String value = equals < 0 ? rest.next() : argument.substring(equals + 1);
        switch (option) {
          case "--arch" -> architecture = architecture(value);
          case "--dir" -> store = Optional.of(new ImageDirectory(Path.of(value).toAbsolutePath()));
          case "--container-dir" ->
              containers = Optional.of(ContainerImageCache.of(Path.of(value)));
          case "--keep-free" -> keepFreeBytes = size(value);
          case "-o", "--output" -> json = parseFormat(value);
          default -> throw new UsageException("there is no option '%s'".formatted(argument));
        }
      }
      if (words.isEmpty()) {
        throw new UsageException("a command is missing");
      }
      ImageDirectory usual = ImageDirectory.ofEnvironment(architecture);
      ContainerImageCache usualContainers = ContainerImageCache.ofEnvironment(architecture);
      return new Arguments(
          words,
          architecture,
          store.orElse(usual),
          containers.orElse(usualContainers),
          keepFreeBytes,
          json);
    }

    private static long size(String text) throws UsageException {
      return ByteSize.parse(text)
          .orElseThrow(() ->
              new UsageException(
                  "--keep-free takes a size such as 500M or 2G, not '%s'".formatted(text)));
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

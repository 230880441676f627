package dev.vireo.images;

import static dev.vireo.images.ImageException.Reason.HOST_UNSUPPORTED;
import static dev.vireo.images.ImageException.Reason.PACKAGE_INVALID;

import java.io.BufferedWriter;
import java.io.IOException;
import java.io.Reader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Properties;
import java.util.function.Consumer;

/**
 * A guest kernel of our own: Debian's source of Linux 6.1, compiled with {@link KernelConfig}, once
 * per version of the source, configuration and architecture. It is kept in Vireo's cache, and
 * appears there whole.
 */
final class GuestKernel {
  /** The image's name too. */
  static final String NAME = "vireo-6.1";

  private static final String RELEASE = "bookworm";
  private static final String SOURCE_PACKAGE = "linux-source-6.1";

  /** Counts changes of this class that change the kernel. */
  private static final int RECIPE = 1;

  private static final String PROPERTIES_FILE = "kernel.properties";
  private static final String CONFIG_FILE = "config";

  /**
   * Most of the source is drivers, and other architectures, that no configuration of ours reaches;
   * only their Kconfig files are read. This is two thirds of it.
   */
  private static final List<String> NOT_UNPACKED =
      List.of(
          "drivers/gpu/*.[ch]",
          "drivers/net/ethernet/*.[ch]",
          "drivers/net/wireless/*.[ch]",
          "drivers/media/*.[ch]",
          "drivers/staging/*.[ch]",
          "drivers/infiniband/*.[ch]",
          "sound/*.[ch]",
          "Documentation/*.rst",
          "Documentation/*.yaml",
          "tools/testing/*.[ch]",
          "tools/perf/*.[ch]");

  /** After how many more files to tell how far the compiler is. */
  private static final int STEP = 100;

  /** How each architecture's kernel is made. */
  private record Target(String makeName, String compilerPrefix, String goal, String file) {
    static Target of(Architecture architecture) {
      String prefix = architecture.gnuPrefix();
      return switch (architecture) {
        // Entered by PVH: nothing has to be decompressed.
        case X86_64 -> new Target("x86_64", prefix, "vmlinux", "vmlinux");
        case ARM64 -> new Target("arm64", prefix, "Image", "arch/arm64/boot/Image");
      };
    }
  }

  /**
   * A kernel that has been built.
   *
   * @param source name and version of the package that it was compiled from
   * @param file a vmlinux or arm64 Image
   * @param isCurrent whether it has today's configuration
   */
  record Built(Architecture architecture, String source, Path file, boolean isCurrent) {}

  private final Architecture architecture;
  private final Path cache;
  private final Path sourceTree;
  private final Commands commands;
  private final Progress progress;

  private GuestKernel(
      Architecture architecture,
      Path cache,
      Path sourceTree,
      Commands commands,
      Progress progress) {
    this.architecture = architecture;
    this.cache = cache;
    this.sourceTree = sourceTree;
    this.commands = commands;
    this.progress = progress;
  }

  /**
   * The kernel of an architecture.
   *
   * @param cache Vireo's cache directory
   * @param sourceTree Vireo's own source tree, which has the configuration
   */
  static GuestKernel of(
      Architecture architecture,
      Path cache,
      Path sourceTree,
      Commands commands,
      Progress progress) {
    return new GuestKernel(architecture, cache, sourceTree, commands, progress);
  }

  Architecture architecture() {
    return architecture;
  }

  private Path kernels() {
    return cache.resolve("kernels");
  }

  private String directoryName() {
    return NAME + "-" + architecture.label();
  }

  /** The kernel in the cache, if there is one. */
  Optional<Built> find() throws IOException, ImageException {
    Path directory = kernels().resolve(directoryName());
    Path file = directory.resolve(PROPERTIES_FILE);
    if (!Files.exists(file)) {
      return Optional.empty();
    }
    Properties properties = new Properties();
    try (Reader in = Files.newBufferedReader(file)) {
      properties.load(in);
    }
    return Optional.of(
        new Built(
            architecture,
            properties.getProperty("source", "unknown"),
            directory.resolve(properties.getProperty("kernel", "")),
            properties.getProperty("recipe", "").equals(recipe())));
  }

  /**
   * The kernel: from the cache if it is of Debian's current source and today's configuration,
   * otherwise compiled now, which takes up to half an hour of a processor.
   */
  Built build() throws IOException, ImageException {
    DebianPackages packages =
        DebianPackages.of(cache, RELEASE, Architecture.ofHost(), commands, progress);
    String version = packages.version(SOURCE_PACKAGE);
    var _ =
        CachedDirectory.obtain(
            kernels(),
            directoryName(),
            new Fingerprint().add(version).add(recipe()).hex(),
            directory -> buildInto(directory, packages));
    return find().orElseThrow();
  }

  /** Stands for all that the kernel depends on but for the version of its source. */
  private String recipe() throws ImageException {
    return new Fingerprint()
        .add(architecture.label())
        .add(KernelConfig.read(sourceTree, architecture).text())
        .add(Integer.toString(RECIPE))
        .hex();
  }

  private void buildInto(Path directory, DebianPackages packages)
      throws IOException, ImageException {
    Target target = Target.of(architecture);
    requireTools(target);
    DebianPackage source = packages.fetch(SOURCE_PACKAGE);
    Path work = Files.createDirectory(directory.resolve("work"));
    Path tree = unpack(source, work);
    Path objects = Files.createDirectory(work.resolve("objects"));
    configure(target, tree, objects, work.resolve("wanted.config"));
    compile(target, tree, objects);
    String name = String.valueOf(Path.of(target.file()).getFileName());
    strip(target, objects.resolve(target.file()), directory, name);
    Files.move(objects.resolve(".config"), directory.resolve(CONFIG_FILE));
    writeProperties(directory.resolve(PROPERTIES_FILE), source, name);
    FileTrees.delete(work);
  }

  /** Before anything is fetched or unpacked. */
  private void requireTools(Target target) throws ImageException {
    Path anywhere = Path.of("/");
    for (String tool :
        List.of("make", target.compilerPrefix() + "gcc", "flex", "bison", "bc", "tar", "xz")) {
      var _ = commands.runOrThrow(anywhere, List.of(tool, "--version"));
    }
    // For objtool, which is compiled for the host and looks through a vmlinux.
    List<String> include = List.of("gcc", "-E", "-include", "gelf.h", "-x", "c", "/dev/null");
    if (target.goal().equals("vmlinux") && commands.run(anywhere, include).status() != 0) {
      throw new ImageException(
          HOST_UNSUPPORTED, "gelf.h is not installed; on Debian: apt-get install libelf-dev");
    }
  }

  /** From the package to the source's top directory. */
  private Path unpack(DebianPackage source, Path work) throws IOException, ImageException {
    progress.step("unpacking " + source);
    source.unpack(work, commands);
    List<String> tar = new ArrayList<>(List.of("tar", "--extract", "--file"));
    tar.add("usr/src/" + SOURCE_PACKAGE + ".tar.xz");
    NOT_UNPACKED.forEach(pattern -> tar.add("--exclude=" + SOURCE_PACKAGE + "/" + pattern));
    var _ = commands.runOrThrow(work, tar);
    FileTrees.delete(work.resolve("usr"));
    Path tree = work.resolve(SOURCE_PACKAGE);
    if (!Files.exists(tree.resolve("Kconfig"))) {
      throw new ImageException(PACKAGE_INVALID, source + " has no kernel source in it");
    }
    return tree;
  }

  private void configure(Target target, Path tree, Path objects, Path wanted)
      throws IOException, ImageException {
    KernelConfig config = KernelConfig.read(sourceTree, architecture);
    Files.writeString(wanted, config.text());
    make(target, tree, objects, line -> {}, "KCONFIG_ALLCONFIG=" + wanted, "allnoconfig");
    config.requireIn(Files.readString(objects.resolve(".config")));
  }

  private void compile(Target target, Path tree, Path objects) throws ImageException {
    make(
        target,
        tree,
        objects,
        new CompiledFiles(progress),
        "-j" + Runtime.getRuntime().availableProcessors(),
        target.goal());
  }

  private void make(
      Target target, Path tree, Path objects, Consumer<String> line, String... arguments)
      throws ImageException {
    List<String> command =
        new ArrayList<>(
            List.of(
                // It ends with us, and gives way to whatever else the host does.
                "setpriv",
                "--pdeathsig",
                "TERM",
                "nice",
                "-n",
                "10",
                "make",
                "O=" + objects,
                "ARCH=" + target.makeName(),
                "CROSS_COMPILE=" + target.compilerPrefix(),
                // The same words on every host.
                "KBUILD_BUILD_USER=vireo",
                "KBUILD_BUILD_HOST=vireo",
                "KBUILD_BUILD_VERSION=1"));
    command.addAll(List.of(arguments));
    commands.followOrThrow(tree, command, line);
  }

  /** Symbols are for debuggers; the kernel has those it needs itself in its data. */
  private void strip(Target target, Path from, Path directory, String name)
      throws IOException, ImageException {
    if (target.goal().equals("vmlinux")) {
      var _ =
          commands.runOrThrow(
              directory, List.of(target.compilerPrefix() + "strip", "-o", name, from.toString()));
    } else {
      Files.move(from, directory.resolve(name));
    }
  }

  private void writeProperties(Path file, DebianPackage source, String kernel)
      throws IOException, ImageException {
    try (BufferedWriter out = Files.newBufferedWriter(file)) {
      out.write("kernel=%s\nrecipe=%s\nsource=%s\n".formatted(kernel, recipe(), source));
    }
  }

  /** Tells of every hundredth file that make says it compiles. */
  private static final class CompiledFiles implements Consumer<String> {
    private final Progress progress;
    private int count;

    CompiledFiles(Progress progress) {
      this.progress = progress;
    }

    @Override
    public void accept(String line) {
      String[] words = line.strip().split("\\s+", 2);
      if (words.length < 2) {
        return;
      }
      switch (words[0]) {
        case "CC", "AS" -> {
          count++;
          if (count % STEP == 0) {
            progress.step("compiled %d files, now %s".formatted(count, words[1]));
          }
        }
        case "LD" -> {
          if (words[1].equals("vmlinux")) {
            progress.step("compiled %d files; linking".formatted(count));
          }
        }
        default -> {}
      }
    }
  }
}

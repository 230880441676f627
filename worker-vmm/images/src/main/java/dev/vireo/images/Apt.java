package dev.vireo.images;

import static dev.vireo.images.ImageException.Reason.HOST_UNSUPPORTED;
import static dev.vireo.images.ImageException.Reason.NETWORK_UNAVAILABLE;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/**
 * apt, with the packages of one architecture. The host's own apt has those of the host; another's
 * are had by the same mirrors, with lists in a directory of our own, so that nothing of the host's
 * configuration changes.
 */
public final class Apt {
  private static final Path KEYRING = Path.of("/usr/share/keyrings/debian-archive-keyring.gpg");

  /** A line of a simulation: {@code Inst fio (3.33-3 Debian:12.11/oldstable [amd64])}. */
  private static final Pattern INSTALLED = Pattern.compile("(?m)^Inst (\\S+) ");

  private final Commands commands;
  private final List<String> options;

  private Apt(Commands commands, List<String> options) {
    this.commands = commands;
    this.options = options;
  }

  /** With the host's lists and sources. */
  public static Apt ofHost(Commands commands) {
    return new Apt(commands, List.of());
  }

  /**
   * With the packages of a Debian release for an architecture.
   *
   * @param directory of this class's own, for any number of releases and architectures
   * @param release its code name
   * @throws ImageException HOST_UNSUPPORTED if the host's apt knows no mirror of Debian
   */
  public static Apt of(Path directory, String release, Architecture architecture, Commands commands)
      throws ImageException {
    Path own = directory.resolve(release + "-" + architecture.debianName());
    try {
      for (String made : List.of("state/lists/partial", "cache/archives/partial")) {
        Files.createDirectories(own.resolve(made));
      }
      Files.writeString(own.resolve("status"), "");
      Files.writeString(
          own.resolve("sources.list"), sources(ofHost(commands), release, architecture));
      Path configuration = own.resolve("apt.conf");
      Files.writeString(configuration, configuration(own, architecture));
      return new Apt(commands, List.of("-c", configuration.toString()));
    } catch (IOException e) {
      throw new ImageException(HOST_UNSUPPORTED, "cannot write %s: %s".formatted(own, e), e);
    }
  }

  private static String configuration(Path own, Architecture architecture) {
    return """
    APT::Architecture "%1$s";
    #clear APT::Architectures;
    APT::Architectures:: "%1$s";
    Acquire::Languages "none";
    Dir::State "%2$s/state";
    Dir::State::status "%2$s/status";
    Dir::Cache "%2$s/cache";
    Dir::Etc::sourcelist "%2$s/sources.list";
    Dir::Etc::sourceparts "/dev/null";
    """
        .formatted(architecture.debianName(), own.toAbsolutePath());
  }

  /** From the host's own mirrors, which its lists name once they are there. */
  private static String sources(Apt host, String release, Architecture architecture)
      throws ImageException {
    Optional<String> mirror = host.mirror("Debian");
    if (mirror.isEmpty()) {
      host.update();
      mirror = host.mirror("Debian");
    }
    String sources =
        mirror
            .map(uri -> source(uri, release, architecture))
            .orElseThrow(() ->
                new ImageException(
                    HOST_UNSUPPORTED,
                    "this host's apt knows no mirror of Debian; add one to /etc/apt/sources.list"));
    return sources
        + host.mirror("Debian-Security")
            .map(uri -> source(uri, release + "-security", architecture))
            .orElse("");
  }

  private static String source(String mirror, String suite, Architecture architecture) {
    String signedBy = Files.exists(KEYRING) ? " signed-by=" + KEYRING : "";
    return "deb [arch=%s%s] %s %s main\n"
        .formatted(architecture.debianName(), signedBy, mirror, suite);
  }

  /** The repository that the host has with this label, if any. */
  private Optional<String> mirror(String label) throws ImageException {
    return get(
            Path.of("/"),
            "indextargets",
            "--format",
            "$(REPO_URI)",
            "Created-By: Packages",
            "Label: " + label,
            "Component: main")
        .output()
        .lines()
        .findFirst();
  }

  /** Runs {@code apt-get}. */
  Commands.Result get(Path directory, String... arguments) throws ImageException {
    // apt's own user cannot write into a private cache directory; without this it warns of that.
    List<String> command =
        new ArrayList<>(List.of("apt-get", "-q", "-o", "APT::Sandbox::User=root"));
    command.addAll(options);
    command.addAll(List.of(arguments));
    return commands.run(directory, command);
  }

  /** Where the files of packages are: a line for each that apt knows. */
  Commands.Result uris(List<String> names) throws ImageException {
    return get(Path.of("/"), with(names, "--print-uris", "download"));
  }

  /** Puts the files of packages into a directory. */
  Commands.Result download(Path directory, List<String> names) throws ImageException {
    return get(directory, with(names, "download"));
  }

  private static String[] with(List<String> names, String... first) {
    return Stream.concat(Stream.of(first), names.stream()).toArray(String[]::new);
  }

  /** The packages that a machine without any would get with these, themselves included. */
  List<String> wouldInstall(List<String> names) throws ImageException {
    Commands.Result answer =
        get(
            Path.of("/"),
            with(
                names,
                "install",
                "--simulate",
                "--no-install-recommends",
                "-o",
                "Dir::State::status=/dev/null"));
    Commands.requireSuccess(List.of("apt-get", "install", "--simulate"), answer);
    return INSTALLED.matcher(answer.output()).results().map(line -> line.group(1)).toList();
  }

  /** What a package depends on, in apt's words. */
  String dependencies(String name) throws ImageException {
    List<String> command = new ArrayList<>(List.of("apt-cache"));
    command.addAll(options);
    command.addAll(List.of("depends", name));
    return commands.runOrThrow(Path.of("/"), command);
  }

  /**
   * Brings the lists up to date.
   *
   * @throws ImageException NETWORK_UNAVAILABLE, or HOST_UNSUPPORTED if only root may
   */
  void update() throws ImageException {
    Commands.Result answer = get(Path.of("/"), "update");
    if (answer.status() == 0 && !answer.errors().contains("Failed to fetch")) {
      return;
    }
    if (answer.errors().contains("Permission denied")) {
      throw new ImageException(
          HOST_UNSUPPORTED, "apt's package lists are out of date; run: sudo apt-get update");
    }
    throw networkUnavailable("update apt's package lists", answer);
  }

  static ImageException networkUnavailable(String what, Commands.Result answer) {
    return new ImageException(
        NETWORK_UNAVAILABLE,
        "cannot %s: is there a network, and are apt's mirrors right? apt says: %s"
            .formatted(what, answer.errors().strip()));
  }
}

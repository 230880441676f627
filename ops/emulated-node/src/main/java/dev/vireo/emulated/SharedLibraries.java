package dev.vireo.emulated;

import dev.vireo.images.Commands;
import dev.vireo.images.ImageException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** The shared libraries that programs of this host are linked with, as {@code ldd(1)} tells. */
final class SharedLibraries {
  private static final Pattern LIBRARY = Pattern.compile("(?:=> |^\\s*)(/\\S+) \\(0x");

  private SharedLibraries() {}

  /** All of these files', the loader among them. */
  static Set<Path> of(List<Path> files, Commands commands) throws ImageException {
    List<String> command = new ArrayList<>(List.of("ldd"));
    files.forEach(file -> command.add(file.toString()));
    return in(commands.runOrThrow(Path.of("/"), command));
  }

  static Set<Path> in(String output) {
    Set<Path> libraries = new TreeSet<>();
    for (String line : output.lines().toList()) {
      Matcher matcher = LIBRARY.matcher(line);
      if (matcher.find()) {
        libraries.add(Path.of(matcher.group(1)));
      }
    }
    return libraries;
  }
}

package dev.vireo.emulated;

import dev.vireo.images.Commands;
import dev.vireo.images.FileTrees;
import dev.vireo.images.ImageException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.List;
import java.util.Set;

/**
 * A program of this host's among the files of a job, with the shared libraries that it is linked
 * with: the outer machine itself has busybox and a Java runtime only.
 */
final class HostProgram {
  /** Where a job finds such programs: the directory to have first in PATH. */
  static final String DIRECTORY = "/job/bin";

  private final String name;
  private final Commands commands;

  /**
   * @param name as it is found in PATH
   */
  HostProgram(String name, Commands commands) {
    this.name = name;
    this.commands = commands;
  }

  /**
   * Puts it into a job.
   *
   * @param job the directory that {@code /job} is made of
   */
  void addTo(Path job) throws IOException, ImageException {
    Path program = Commands.locate(name);
    Path home = Files.createDirectories(job.resolve("programs").resolve(name));
    FileTrees.copyFile(program, home.resolve(name));
    Set<Path> libraries = SharedLibraries.of(List.of(program), commands);
    for (Path library : libraries) {
      FileTrees.copyFile(library, home.resolve(library.getFileName()));
    }
    Path start = Files.createDirectories(job.resolve("bin")).resolve(name);
    Files.writeString(start, script(libraries));
    Files.setPosixFilePermissions(start, PosixFilePermissions.fromString("rwxr-xr-x"));
  }

  /** By the loader of its own libraries, whatever those of the outer machine are. */
  private String script(Set<Path> libraries) throws IOException {
    String loader =
        libraries.stream()
            .map(library -> String.valueOf(library.getFileName()))
            .filter(file -> file.startsWith("ld-"))
            .findFirst()
            .orElseThrow(() -> new IOException(name + " is not linked dynamically"));
    String home = "/job/programs/" + name;
    return "#!/bin/sh\nexec %s/%s --library-path %s %s/%s \"$@\"\n"
        .formatted(home, loader, home, home, name);
  }
}

package dev.vireo.worker.cgroup;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * Where this machine's controllers are mounted. On a hybrid host some are in hierarchies of their
 * own (version 1) and the rest in the unified one (version 2); none is in both.
 */
public final class CgroupMounts {
  private static final Path MOUNTS = Path.of("/proc/self/mountinfo");

  private final Map<CgroupController, Mount> mounts;

  /**
   * A mounted hierarchy.
   *
   * @param unified version 2
   */
  record Mount(Path path, boolean unified) {}

  private CgroupMounts(Map<CgroupController, Mount> mounts) {
    this.mounts = mounts;
  }

  /** None: nothing can be limited. */
  public static CgroupMounts none() {
    return new CgroupMounts(new EnumMap<>(CgroupController.class));
  }

  /** As this process sees them. */
  public static CgroupMounts ofThisProcess() throws IOException {
    return parse(Files.readAllLines(MOUNTS));
  }

  /**
   * Reads lines as {@code /proc/PID/mountinfo} has them (proc_pid_mountinfo(5)); what a unified
   * hierarchy has is read from the place that they name.
   */
  static CgroupMounts parse(List<String> mountInfo) throws IOException {
    Map<CgroupController, Mount> mounts = new EnumMap<>(CgroupController.class);
    for (String line : mountInfo) {
      String[] halves = line.split(" - ", 2);
      String[] fileSystem = halves.length < 2 ? new String[0] : halves[1].split(" ", -1);
      String[] place = halves[0].split(" ", -1);
      if (fileSystem.length < 3 || place.length < 5) {
        continue;
      }
      Path path = Path.of(place[4].replace("\\040", " "));
      switch (fileSystem[0]) {
        case "cgroup" -> add(mounts, fileSystem[2].split(",", -1), new Mount(path, false));
        case "cgroup2" -> add(mounts, controllers(path), new Mount(path, true));
        default -> {
          // Something else.
        }
      }
    }
    return new CgroupMounts(mounts);
  }

  private static String[] controllers(Path unified) throws IOException {
    Path file = unified.resolve("cgroup.controllers");
    return Files.isReadable(file) ? Files.readString(file).strip().split(" ", -1) : new String[0];
  }

  /** The first counts, if a hierarchy is mounted twice. */
  private static void add(Map<CgroupController, Mount> mounts, String[] names, Mount mount) {
    for (CgroupController controller : CgroupController.values()) {
      if (Arrays.asList(names).contains(controller.label())) {
        mounts.putIfAbsent(controller, mount);
      }
    }
  }

  /** Whether this process may make groups in all hierarchies that have a controller. */
  public boolean mayBeUsed() {
    return mounts.values().stream().allMatch(mount -> Files.isWritable(mount.path));
  }

  Optional<Mount> of(CgroupController controller) {
    return Optional.ofNullable(mounts.get(controller));
  }
}

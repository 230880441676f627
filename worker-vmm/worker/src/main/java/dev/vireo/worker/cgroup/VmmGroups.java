package dev.vireo.worker.cgroup;

import dev.vireo.worker.cgroup.CgroupMounts.Mount;
import dev.vireo.worker.time.Time;
import java.io.IOException;
import java.lang.System.Logger.Level;
import java.nio.file.DirectoryNotEmptyException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.util.Collection;
import java.util.EnumMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Stream;

/**
 * The control groups of a node's VMM processes: {@code vireo/NODE-UID/VMM-ID} below each hierarchy
 * that has a controller we use. A VMM's group is made when it is started, and removed by whoever
 * removes what it leaves on disk, be that a later worker. Thread-safe.
 *
 * <p>Sources: the kernel's admin-guide/cgroup-v2.rst and admin-guide/cgroup-v1.
 */
public final class VmmGroups implements AutoCloseable {
  private static final System.Logger LOG = System.getLogger("cgroup");
  private static final String ALL = "vireo";

  /** More threads than a VMM of 64 vCPUs with all its devices has. */
  private static final int MOST_THREADS = 1024;

  private static final long PERIOD_MICROS = 100_000;
  private static final long MICROS_OF_A_MILLI_CPU = PERIOD_MICROS / 1000;

  /** What version 1 calls 1,024, version 2 calls 100. */
  private static final long SHARES = 1024;

  private static final long WEIGHT = 100;

  /** A process that has just ended may hold its group for a moment. */
  private static final Duration REMOVE_AGAIN = Duration.ofMillis(50);

  private static final int REMOVE_AT_MOST = 20;

  /** Of those controllers that can be used. */
  private final Map<CgroupController, Mount> mounts = new EnumMap<>(CgroupController.class);

  private final String owner;
  private final Time time;

  /**
   * Makes the node's own group in each hierarchy. What cannot be used is left out, and said so.
   *
   * @param owner the node's uid
   */
  public VmmGroups(CgroupMounts mounts, String owner, Time time) {
    this.owner = owner;
    this.time = time;
    for (CgroupController controller : CgroupController.values()) {
      mounts.of(controller).ifPresent(mount -> open(controller, mount));
    }
  }

  /** With what this machine has. */
  public static VmmGroups of(String owner, Time time) {
    try {
      return new VmmGroups(CgroupMounts.ofThisProcess(), owner, time);
    } catch (IOException e) {
      LOG.log(Level.WARNING, "no control groups: {0}", e);
      return new VmmGroups(CgroupMounts.none(), owner, time);
    }
  }

  private void open(CgroupController controller, Mount mount) {
    try {
      Path all = mount.path().resolve(ALL);
      Path ours = all.resolve(owner);
      if (mount.unified()) {
        enable(mount.path(), controller);
      }
      Files.createDirectories(ours);
      if (mount.unified()) {
        enable(all, controller);
        enable(ours, controller);
      }
      mounts.put(controller, mount);
    } catch (IOException e) {
      LOG.log(
          Level.WARNING,
          "cannot use the {0} controller below {1}: {2}",
          controller.label(),
          mount.path(),
          e.getMessage());
    }
  }

  /** For the groups below this one. */
  private static void enable(Path group, CgroupController controller) throws IOException {
    write(group.resolve("cgroup.subtree_control"), "+" + controller.label());
  }

  /** Whether limits of this kind can be set. */
  public boolean has(CgroupController controller) {
    return mounts.containsKey(controller);
  }

  /** Makes a VMM's group and puts the process in it. */
  public void add(String vmmId, int pid) throws IOException {
    for (Path group : groups(vmmId)) {
      Files.createDirectories(group);
    }
    set(CgroupController.PIDS, vmmId, "pids.max", MOST_THREADS);
    for (Path group : groups(vmmId)) {
      write(group.resolve("cgroup.procs"), Integer.toString(pid));
    }
  }

  /** Sets what the controllers that there are can hold it to. Its group exists. */
  public void limit(String vmmId, Limits limits) throws IOException {
    if (isUnified(CgroupController.CPU)) {
      set(CgroupController.CPU, vmmId, "cpu.weight", limits.cpuWeight());
      write(
          file(CgroupController.CPU, vmmId, "cpu.max"),
          (limits.cpuMilli().isPresent() ? quotaMicros(limits) + " " : "max ") + PERIOD_MICROS);
    } else {
      set(CgroupController.CPU, vmmId, "cpu.shares", limits.cpuWeight() * SHARES / WEIGHT);
      set(CgroupController.CPU, vmmId, "cpu.cfs_period_us", PERIOD_MICROS);
      set(
          CgroupController.CPU,
          vmmId,
          "cpu.cfs_quota_us",
          limits.cpuMilli().isPresent() ? quotaMicros(limits) : -1);
    }
    set(
        CgroupController.MEMORY,
        vmmId,
        isUnified(CgroupController.MEMORY) ? "memory.max" : "memory.limit_in_bytes",
        limits.memoryBytes());
  }

  private static long quotaMicros(Limits limits) {
    return limits.cpuMilli().orElseThrow() * MICROS_OF_A_MILLI_CPU;
  }

  private boolean isUnified(CgroupController controller) {
    Mount mount = mounts.get(controller);
    return mount != null && mount.unified();
  }

  private void set(CgroupController controller, String vmmId, String name, long value)
      throws IOException {
    if (has(controller)) {
      write(file(controller, vmmId, name), Long.toString(value));
    }
  }

  private Path file(CgroupController controller, String vmmId, String name) throws IOException {
    Mount mount = mounts.get(controller);
    if (mount == null) {
      throw new NoSuchFileException(name);
    }
    return ours(mount).resolve(vmmId).resolve(name);
  }

  private static void write(Path file, String value) throws IOException {
    Files.writeString(file, value, StandardOpenOption.WRITE);
  }

  /** Removes a VMM's group, if it has one; its process has ended. */
  public void remove(String vmmId) {
    groups(vmmId).forEach(group -> remove(group, REMOVE_AT_MOST));
  }

  private void remove(Path group, int times) {
    try {
      Files.deleteIfExists(group);
    } catch (DirectoryNotEmptyException | NoSuchFileException e) {
      LOG.log(Level.WARNING, "cannot remove {0}: {1}", group, e);
    } catch (FileSystemException e) {
      if (times > 1) {
        var _ = time.after(REMOVE_AGAIN, () -> remove(group, times - 1));
      } else {
        LOG.log(Level.WARNING, "cannot remove {0}: {1}", group, e.getReason());
      }
    } catch (IOException e) {
      LOG.log(Level.WARNING, "cannot remove {0}: {1}", group, e);
    }
  }

  /** Removes the groups of VMMs that are no more: a worker was killed in the wrong moment. */
  public void sweep(Collection<String> vmmIds) {
    vmmIds().stream().filter(id -> !vmmIds.contains(id)).forEach(this::remove);
  }

  /** The VMMs that have a group. */
  public Set<String> vmmIds() {
    Set<String> ids = new LinkedHashSet<>();
    for (Path ours : directories()) {
      try (Stream<Path> groups = Files.list(ours)) {
        groups.filter(Files::isDirectory).forEach(group -> ids.add(group.toFile().getName()));
      } catch (NoSuchFileException e) {
        LOG.log(Level.DEBUG, "there is no {0} any more", ours);
      } catch (IOException e) {
        LOG.log(Level.WARNING, "cannot look into {0}: {1}", ours, e);
      }
    }
    return ids;
  }

  /** Removes the node's own groups, if it has no VMM any more. */
  @Override
  public void close() {
    for (Path ours : directories()) {
      Path all = ours.getParent();
      if (ours.toFile().delete() && all != null) {
        var _ = all.toFile().delete(); // Unless another node has groups there.
      }
    }
  }

  private Set<Path> groups(String vmmId) {
    Set<Path> groups = new LinkedHashSet<>();
    directories().forEach(ours -> groups.add(ours.resolve(vmmId)));
    return groups;
  }

  private Set<Path> directories() {
    Set<Path> directories = new LinkedHashSet<>();
    List.copyOf(mounts.values()).forEach(mount -> directories.add(ours(mount)));
    return directories;
  }

  private Path ours(Mount mount) {
    return mount.path().resolve(ALL).resolve(owner);
  }
}

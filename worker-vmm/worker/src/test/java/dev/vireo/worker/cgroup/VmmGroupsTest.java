package dev.vireo.worker.cgroup;

import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.vireo.worker.cgroup.CgroupMounts.Mount;
import dev.vireo.worker.time.SystemTime;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.OptionalLong;
import java.util.UUID;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Nested;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What processes of a node are held to: by this machine's kernel, and what version 2 is told. */
class VmmGroupsTest {
  private static final String OWNER = "node-" + UUID.randomUUID();
  private static final String VMM = "0a1b2c3d";
  private static final long MIB = 1 << 20;

  private final SystemTime time = new SystemTime();

  @AfterEach
  void stopTime() {
    time.close();
  }

  private static Limits limits(OptionalLong cpuMilli, long weight, long mib) {
    return new Limits(cpuMilli, weight, mib * MIB);
  }

  /** Whatever version each controller has here. */
  @Nested
  class OnThisMachine {
    private final CgroupMounts mounts = mounts();
    private final VmmGroups groups = new VmmGroups(mounts, OWNER, time);
    private Process process;

    @BeforeEach
    void startSomething() throws IOException {
      for (CgroupController controller : CgroupController.values()) {
        assumeTrue(groups.has(controller), () -> "no control groups here: " + controller);
      }
      process = new ProcessBuilder("sh", "-c", "read go; exec \"$@\"", "sh").start();
    }

    @AfterEach
    void nothingIsLeft() throws Exception {
      if (process != null) {
        process.destroyForcibly().waitFor();
      }
      groups.remove(VMM);
      await().until(() -> ours().noneMatch(ours -> Files.exists(ours.resolve(VMM))));
      groups.close();
      assertTrue(ours().noneMatch(Files::exists), "its own group");
    }

    private static CgroupMounts mounts() {
      try {
        return CgroupMounts.ofThisProcess();
      } catch (IOException e) {
        throw new java.io.UncheckedIOException(e);
      }
    }

    private Stream<Path> ours() {
      return Stream.of(CgroupController.values())
          .map(controller ->
              mounts.of(controller).orElseThrow().path().resolve("vireo").resolve(OWNER));
    }

    private Path group(CgroupController controller) {
      return mounts
          .of(controller)
          .map(Mount::path)
          .orElseThrow()
          .resolve("vireo")
          .resolve(OWNER)
          .resolve(VMM);
    }

    /** Puts a shell that waits into the group, then has it run this. */
    private void runLimited(Limits limits, String... command) throws Exception {
      process.destroyForcibly().waitFor();
      List<String> line =
          Stream.concat(Stream.of("sh", "-c", "read go; exec \"$@\"", "sh"), Stream.of(command))
              .toList();
      process = new ProcessBuilder(line).start();
      groups.add(VMM, (int) process.pid());
      groups.limit(VMM, limits);
      process.getOutputStream().write('\n');
      process.getOutputStream().flush();
    }

    @Test
    void aProcessIsInItsGroupOfEachController() throws IOException {
      groups.add(VMM, (int) process.pid());
      for (CgroupController controller : CgroupController.values()) {
        assertEquals(
            List.of(Long.toString(process.pid())),
            Files.readAllLines(group(controller).resolve("cgroup.procs")));
      }
      assertEquals(
          "1024", Files.readString(group(CgroupController.PIDS).resolve("pids.max")).strip());
    }

    @Test
    void oneThatSpinsIsHeldToItsShare() throws Exception {
      runLimited(limits(OptionalLong.of(10), 100, 64), "sh", "-c", "while :; do :; done");
      Path stat = group(CgroupController.CPU).resolve("cpu.stat");
      await().until(() -> counter(stat, "nr_throttled") > 0);
    }

    private static long counter(Path stat, String name) throws IOException {
      return Files.readAllLines(stat).stream()
          .filter(line -> line.startsWith(name + " "))
          .mapToLong(line -> Long.parseLong(line.substring(name.length() + 1)))
          .sum();
    }

    @Test
    void oneThatTakesTooMuchMemoryIsEnded() throws Exception {
      runLimited(limits(OptionalLong.empty(), 100, 32), "tail", "/dev/zero");
      assertTrue(process.waitFor(60, TimeUnit.SECONDS));
      assertEquals(128 + 9, process.exitValue());
    }

    @Test
    void whatAKilledWorkerLeftIsSweptAway() throws Exception {
      groups.add(VMM, (int) process.pid());
      process.destroyForcibly().waitFor();
      new VmmGroups(mounts, OWNER, time).sweep(List.of("another"));
      await().until(() -> !Files.exists(group(CgroupController.CPU)));
    }

    @Test
    void aLivingVmmsGroupIsNotSweptAway() throws Exception {
      groups.add(VMM, (int) process.pid());
      new VmmGroups(mounts, OWNER, time).sweep(List.of(VMM));
      assertTrue(Files.exists(group(CgroupController.CPU)));
    }

    @Test
    void aGroupThatIsStillHeldIsRemovedLater() throws Exception {
      groups.add(VMM, (int) process.pid());
      groups.remove(VMM);
      assertTrue(Files.exists(group(CgroupController.CPU)), "its process lives");
      process.destroyForcibly().waitFor();
      await().until(() -> !Files.exists(group(CgroupController.CPU)));
    }
  }

  /** A directory that looks like it; the emulated nodes of the linux tier have a real one. */
  @Nested
  class OnVersion2 {
    @TempDir private Path root;

    private VmmGroups unified() throws IOException {
      Files.writeString(root.resolve("cgroup.controllers"), "cpuset cpu io memory pids\n");
      for (String group : List.of("", "vireo", "vireo/" + OWNER)) {
        Files.createDirectories(root.resolve(group));
        Files.createFile(root.resolve(group).resolve("cgroup.subtree_control"));
      }
      Path vmm = Files.createDirectory(root.resolve("vireo/" + OWNER + "/" + VMM));
      for (String file :
          List.of("cgroup.procs", "cpu.max", "cpu.weight", "memory.max", "pids.max")) {
        Files.createFile(vmm.resolve(file));
      }
      return new VmmGroups(
          CgroupMounts.parse(List.of("30 23 0:26 / " + root + " rw,nosuid - cgroup2 cgroup2 rw")),
          OWNER,
          time);
    }

    private String read(String file) throws IOException {
      return Files.readString(root.resolve("vireo/" + OWNER + "/" + VMM).resolve(file));
    }

    @Test
    void limitsAreWrittenAsItReadsThem() throws IOException {
      VmmGroups groups = unified();
      groups.add(VMM, 4711);
      groups.limit(VMM, limits(OptionalLong.of(250), 300, 512));
      assertEquals("4711", read("cgroup.procs"));
      assertEquals("25000 100000", read("cpu.max"));
      assertEquals("300", read("cpu.weight"));
      assertEquals(Long.toString(512 * MIB), read("memory.max"));
      assertEquals("1024", read("pids.max"));
    }

    @Test
    void withoutALimitOfItsCpuTimeThereIsNone() throws IOException {
      VmmGroups groups = unified();
      groups.add(VMM, 4711);
      groups.limit(VMM, limits(OptionalLong.empty(), 100, 512));
      assertEquals("max 100000", read("cpu.max"));
    }
  }

  @Test
  void aHybridHostsControllersAreWhereTheyAre(@TempDir Path unified) throws IOException {
    Files.writeString(unified.resolve("cgroup.controllers"), "pids\n");
    CgroupMounts mounts =
        CgroupMounts.parse(
            List.of(
                "21 1 0:20 / /sys rw - sysfs sysfs rw",
                "31 30 0:27 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct",
                "32 30 0:28 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset",
                "33 30 0:29 / " + unified + " rw - cgroup2 cgroup2 rw",
                "broken"));
    assertEquals(
        new Mount(Path.of("/sys/fs/cgroup/cpu,cpuacct"), false),
        mounts.of(CgroupController.CPU).orElseThrow());
    assertEquals(new Mount(unified, true), mounts.of(CgroupController.PIDS).orElseThrow());
    assertTrue(mounts.of(CgroupController.MEMORY).isEmpty());
  }

  @Test
  void whatMayNotBeUsedIsLeftOut() throws IOException {
    VmmGroups groups =
        new VmmGroups(
            CgroupMounts.parse(List.of("30 23 0:26 / /proc/nowhere rw - cgroup cgroup rw,cpu")),
            OWNER,
            time);
    assertFalse(groups.has(CgroupController.CPU));
    groups.remove(VMM);
    groups.sweep(List.of());
    groups.close();
  }
}

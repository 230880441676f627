package dev.vireo.worker.agent.program;

import static dev.vireo.worker.agent.program.Agent.built;
import static dev.vireo.worker.agent.program.Agent.command;
import static dev.vireo.worker.agent.program.Agent.exec;
import static dev.vireo.worker.agent.program.Agent.shell;
import static java.nio.charset.StandardCharsets.UTF_8;
import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.vireo.proto.agent.v1.AgentMessage;
import dev.vireo.proto.agent.v1.Failure;
import dev.vireo.proto.agent.v1.TerminalSize;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * Commands in a control group, and what comes of them when there may be no more. By a guest's init
 * they are limited in {@code ContainerTest}: this host may have version 1, where nobody is born in
 * a group.
 */
class AgentGroupTest {
  private final List<Path> groups = new ArrayList<>();
  @TempDir private Path directory;

  @AfterEach
  void removeGroups() throws IOException {
    for (Path group : groups) {
      // Who was killed is in it until the kernel is done with him.
      await()
          .atMost(Agent.PATIENCE)
          .until(() -> Files.readString(group.resolve("cgroup.procs")).isEmpty());
      Files.delete(group);
    }
  }

  /** A new group in the first hierarchy of this type, with this option. */
  private Path group(String type, String option) throws IOException {
    Optional<Path> hierarchy =
        Files.readAllLines(Path.of("/proc/self/mounts")).stream()
            .map(line -> line.split(" "))
            .filter(mount -> mount[2].equals(type))
            .filter(mount -> List.of(mount[3].split(",")).contains(option))
            .map(mount -> Path.of(mount[1]))
            .findFirst();
    assumeTrue(hierarchy.isPresent(), "this host has no " + type + " with " + option);
    Path group = hierarchy.get().resolve("vireo-test-" + ProcessHandle.current().pid());
    try {
      Files.createDirectory(group);
    } catch (IOException e) {
      assumeTrue(false, "no group can be made here: " + e);
    }
    groups.add(group);
    return group;
  }

  @Test
  void commandsAreInTheGroupFromTheirFirstMomentAndTheAgentIsNot() throws Exception {
    Path group = group("cgroup2", "rw");
    String line = "0::/" + group.getFileName();
    String look = "grep ^0: /proc/self/cgroup";
    try (Agent agent =
        Agent.start(directory, List.of(), built("all").toString(), "--commands-in", group + "")) {
      assertEquals(line + "\n", agent.run(look).stdout());
      Ran onTerminal =
          Ran.of(
              agent.answers(
                  exec(
                      shell(look)
                          .setTerminal(TerminalSize.newBuilder().setColumns(80).setRows(24)))));
      assertEquals(line + "\r\n", onTerminal.stdout());
      List<String> own = Files.readAllLines(Path.of("/proc/" + agent.pid() + "/cgroup"));
      assertFalse(own.contains(line), own::toString);
    }
  }

  @Test
  void aGroupThatIsNotThereIsSaid() throws IOException {
    Process agent =
        new ProcessBuilder(
                built("all").toString(),
                "--listen",
                "unix:" + directory.resolve("socket"),
                "--commands-in",
                directory.resolve("none").toString())
            .redirectErrorStream(true)
            .start();
    String said = new String(agent.getInputStream().readAllBytes(), UTF_8);
    assertTrue(said.contains("none: No such file or directory"), said);
  }

  @Test
  void oneMoreThanThereMayBeIsToldAndTheOthersGoOn() throws Exception {
    Path group = group("cgroup", "pids");
    Files.writeString(group.resolve("pids.max"), "3");
    String enter = "echo $$ > %s/cgroup.procs; exec \"$@\"".formatted(group);
    try (Agent agent =
            Agent.start(directory, List.of("/bin/sh", "-c", enter, "sh"), built("all").toString());
        Talk first = agent.talk(exec(command("/bin/sleep", "1000")))) {
      assertTrue(first.hear().hasStarted());
      try (Talk second = agent.talk(exec(command("/bin/sleep", "1000")))) {
        assertTrue(second.hear().hasStarted());
        AgentMessage third = agent.answer(exec(command("/bin/true")));
        assertEquals(Failure.Code.EXHAUSTED, third.getFailure().getCode());
        assertEquals(
            "no new process: the guest, or its limit of processes, has no room: Resource"
                + " temporarily unavailable",
            third.getFailure().getMessage());
        assertEquals(2, agent.processes());
      }
      await().atMost(Agent.PATIENCE).until(() -> agent.processes() == 1);
      assertEquals("room\n", agent.run("echo room").stdout());
    }
  }
}

package dev.vireo.worker.agent.program;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.vireo.proto.agent.v1.AgentMessage;
import dev.vireo.proto.agent.v1.ExecRequest;
import dev.vireo.proto.agent.v1.HostMessage;
import dev.vireo.proto.agent.v1.StatusRequest;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;

/** The agent as a process of this host, that listens on a unix socket. Ends with its test. */
final class Agent implements AutoCloseable {
  static final Duration PATIENCE = Duration.ofSeconds(30);

  private static final Path SOURCE =
      Path.of(System.getProperty("vireo.root"), "ops", "guest", "agent");

  private final Process process;
  private final Path socket;
  private final Path log;

  private Agent(Process process, Path socket, Path log) {
    this.process = process;
    this.socket = socket;
    this.log = log;
  }

  /** The program as guests have it. */
  static Agent start(Path directory) throws IOException {
    return start(directory, List.of(), built("all").toString());
  }

  /** As {@link #start}, by a command that executes it. */
  static Agent start(Path directory, List<String> by, String program, String... options)
      throws IOException {
    assumeTrue(isRoot(), "the agent is its guest's root, and can be no less here");
    Path socket = directory.resolve("agent.socket");
    Path log = directory.resolve("agent.log");
    List<String> command = new ArrayList<>(by);
    command.addAll(List.of(program, "--listen", "unix:" + socket));
    command.addAll(List.of(options));
    Process process =
        new ProcessBuilder(command).redirectErrorStream(true).redirectOutput(log.toFile()).start();
    Agent agent = new Agent(process, socket, log);
    await("the agent listens")
        .atMost(PATIENCE)
        .until(() -> !process.isAlive() || agent.log().contains("vireo-agent: ready"));
    assertTrue(process.isAlive(), agent.log());
    return agent;
  }

  /** Makes the program if that is needed: {@code all} or {@code sanitized}. */
  static Path built(String goal) throws IOException {
    assumeTrue(
        Files.exists(Path.of("/usr/bin/musl-gcc")),
        "musl-gcc is not installed: apt-get install musl-tools");
    Process make =
        new ProcessBuilder("make", "-C", SOURCE.toString(), goal).redirectErrorStream(true).start();
    String output = new String(make.getInputStream().readAllBytes(), UTF_8);
    try {
      assertEquals(0, make.waitFor(), output);
    } catch (InterruptedException e) {
      throw new IOException(e);
    }
    return SOURCE.resolve("build").resolve(goal.equals("all") ? "" : goal).resolve("vireo-agent");
  }

  private static boolean isRoot() {
    return "root".equals(System.getProperty("user.name"));
  }

  /** A connection that says this. */
  Talk talk(HostMessage... messages) throws IOException {
    Talk talk = Talk.connect(socket);
    for (HostMessage message : messages) {
      talk.say(message);
    }
    return talk;
  }

  /** A connection on which nothing has been said. */
  Talk connect() throws IOException {
    return Talk.connect(socket);
  }

  /** What the agent says to all of this, until it has no more to say. */
  List<AgentMessage> answers(HostMessage... messages) throws IOException {
    try (Talk talk = talk(messages)) {
      return talk.rest();
    }
  }

  /** The one thing that the agent says to all of this. */
  AgentMessage answer(HostMessage... messages) throws IOException {
    List<AgentMessage> answers = answers(messages);
    assertEquals(1, answers.size(), answers::toString);
    return answers.getFirst();
  }

  /** Runs a shell script, as root. */
  Ran run(String script) throws IOException {
    return Ran.of(answers(exec(shell(script))));
  }

  static ExecRequest.Builder shell(String script) {
    return command("/bin/sh", "-c", script);
  }

  static ExecRequest.Builder command(String... arguments) {
    return ExecRequest.newBuilder().addAllArguments(List.of(arguments));
  }

  static HostMessage exec(ExecRequest.Builder request) {
    return HostMessage.newBuilder().setExec(request).build();
  }

  /** How many processes it has started that are not gone. */
  int processes() throws IOException {
    return answer(HostMessage.newBuilder().setStatus(StatusRequest.getDefaultInstance()).build())
        .getStatus()
        .getProcesses();
  }

  /** Until none of the processes that it has started is left. */
  void awaitNoProcesses() {
    await("its processes end").atMost(PATIENCE).until(() -> processes() == 0);
  }

  /** Its resident memory, KiB. */
  long residentKib() throws IOException {
    return Files.readAllLines(Path.of("/proc/" + pid() + "/status")).stream()
        .filter(line -> line.startsWith("VmRSS:"))
        .mapToLong(line -> Long.parseLong(line.replaceAll("\\D", "")))
        .sum();
  }

  /** How many descriptors it has open. */
  long descriptors() throws IOException {
    try (Stream<Path> open = Files.list(Path.of("/proc/" + pid() + "/fd"))) {
      return open.count();
    }
  }

  /** Whether it does next to nothing for a second. */
  boolean isAtRest() throws IOException {
    try {
      Duration before = processorTime();
      Thread.sleep(1000);
      return processorTime().minus(before).toMillis() < 100;
    } catch (InterruptedException e) {
      throw new IOException(e);
    }
  }

  private Duration processorTime() {
    return process.info().totalCpuDuration().orElseThrow();
  }

  /** It finds all that happens meanwhile at once. */
  void standStill() throws IOException {
    signal("STOP");
  }

  void goOn() throws IOException {
    signal("CONT");
  }

  private void signal(String name) throws IOException {
    try {
      Process kill = new ProcessBuilder("kill", "-" + name, Long.toString(pid())).start();
      assertEquals(0, kill.waitFor());
    } catch (InterruptedException e) {
      throw new IOException(e);
    }
  }

  long pid() {
    return process.pid();
  }

  boolean isAlive() {
    return process.isAlive();
  }

  String log() throws IOException {
    return Files.readString(log);
  }

  /** Ends it as a guest's shutdown does. Its exit status. */
  int stop() throws InterruptedException {
    process.destroy();
    assertTrue(process.waitFor(PATIENCE.toSeconds(), TimeUnit.SECONDS), "SIGTERM ends it");
    return process.exitValue();
  }

  @Override
  public void close() {
    try {
      process.destroy();
      if (!process.waitFor(PATIENCE.toSeconds(), TimeUnit.SECONDS)) {
        throw new IllegalStateException("SIGTERM does not end the agent");
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    } finally {
      process.destroyForcibly();
    }
    try {
      Files.deleteIfExists(socket);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}

package dev.vireo.worker.agent;

import dev.vireo.proto.agent.v1.ExecRequest;
import dev.vireo.proto.v1.Container;
import dev.vireo.worker.container.Supervision;
import dev.vireo.worker.log.OutputLog;
import dev.vireo.worker.time.Time;
import java.nio.file.Path;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.random.RandomGenerator;

/** The containers' processes that run on this node, by their microVMs' sockets. Thread-safe. */
public final class ContainerProcesses {
  private final Time time;
  private final RandomGenerator random;
  private final ConcurrentHashMap<Path, ContainerSupervisor> running = new ConcurrentHashMap<>();

  /**
   * @param random for guests' own
   */
  public ContainerProcesses(Time time, RandomGenerator random) {
    this.time = time;
    this.random = random;
  }

  /**
   * Has a guest's agent run a process from now on, until that or the guest has ended.
   *
   * @param vsock the microVM's socket
   */
  public Supervision supervise(
      Path vsock,
      ExecRequest process,
      Container container,
      OutputLog log,
      Supervision.Listener listener) {
    ContainerSupervisor supervisor =
        new ContainerSupervisor(vsock, process, container, log, time, random, listener);
    running.put(vsock, supervisor);
    CompletableFuture<?> _ = supervisor.done().thenRun(() -> running.remove(vsock, supervisor));
    supervisor.start();
    return supervisor;
  }

  /** That of the microVM with this socket, until it has ended and its output is written down. */
  Optional<ContainerSupervisor> find(Path vsock) {
    return Optional.ofNullable(running.get(vsock));
  }
}

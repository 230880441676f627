package dev.vireo.sim;

import dev.vireo.proto.v1.NodeResources;
import dev.vireo.proto.v1.NodeSpec;
import dev.vireo.sim.client.Promises;
import dev.vireo.sim.client.SimClient;
import dev.vireo.sim.controller.SimController;
import dev.vireo.sim.kernel.SimProcess;
import dev.vireo.sim.kernel.Simulation;
import dev.vireo.sim.network.Link;
import dev.vireo.sim.network.SessionServer;
import dev.vireo.sim.node.SimMachine;
import dev.vireo.sim.store.SimDisk;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.random.RandomGenerator;
import org.jspecify.annotations.Nullable;

/** A cluster with its clients: one controller, some machines, as many as the seed says. */
final class World implements AutoCloseable {
  private static final Duration LEASE = Duration.ofSeconds(15);
  private static final int MOST_MACHINES = 4;
  private static final int MOST_CLIENTS = 4;
  private static final double MOST_DRIFT = 0.01;

  private final Simulation simulation;
  private final RandomGenerator random;
  private final SimDisk disk = new SimDisk();
  private final Promises promises = new Promises();
  private final List<SimMachine> machines = new ArrayList<>();
  private final List<SimClient> clients = new ArrayList<>();
  private final SimProcess nobody;
  private @Nullable SimController controller;

  /**
   * @param directory for the machines' own
   */
  World(Simulation simulation, Path directory) throws IOException {
    this.simulation = simulation;
    this.random = simulation.random();
    this.nobody = new SimProcess(simulation, "nobody", 1, Duration.ZERO);
    nobody.kill();
    startController();
    int machineCount = 1 + random.nextInt(MOST_MACHINES);
    for (int i = 0; i < machineCount; i++) {
      String name = "node-" + i;
      SimMachine machine =
          new SimMachine(
              simulation,
              name,
              NodeResources.newBuilder().setCpuMilli(16_000).setMemoryMib(2048).build(),
              Files.createDirectory(directory.resolve(name)),
              this::sessions);
      machines.add(machine);
      machine.startWorker();
    }
    int clientCount = 1 + random.nextInt(MOST_CLIENTS);
    for (int i = 0; i < clientCount; i++) {
      clients.add(
          new SimClient(
              new SimProcess(simulation, "client-" + i, 1, Duration.ZERO),
              new Link(simulation.random()),
              this::controller,
              promises,
              simulation.random()));
    }
  }

  // ---- the controller

  private SimController controller() {
    if (controller == null) {
      throw new IllegalStateException("a world begins with its controller");
    }
    return controller;
  }

  private SessionServer sessions() {
    SimController now = controller();
    return now.serves()
        ? now.sessions()
        : new SessionServer(
            nobody,
            _ -> {
              throw new IllegalStateException();
            });
  }

  boolean hasController() {
    return controller().process().isAlive();
  }

  void startController() {
    double rate = 1 + (random.nextDouble() * 2 - 1) * MOST_DRIFT;
    Duration skew = Duration.ofMillis(random.nextLong(2_000));
    controller =
        new SimController(new SimProcess(simulation, "controller", rate, skew), disk, LEASE);
  }

  void killController() {
    controller().process().kill();
  }

  /** An operator's wish. It comes to nothing if the controller is not there by then. */
  void want(String node, NodeSpec spec) {
    controller().want(node, spec);
  }

  /** An operator's word that a machine is off. */
  void fence(String node) {
    controller().fence(node);
  }

  // ---- the rest

  SimDisk disk() {
    return disk;
  }

  Promises promises() {
    return promises;
  }

  List<SimMachine> machines() {
    return machines;
  }

  List<SimClient> clients() {
    return clients;
  }

  Simulation simulation() {
    return simulation;
  }

  @Override
  public void close() {
    machines.forEach(SimMachine::close);
  }
}

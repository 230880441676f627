package dev.vireo.sim;

import dev.vireo.controller.store.Change;
import dev.vireo.proto.v1.NodeResources;
import dev.vireo.proto.v1.NodeSpec;
import dev.vireo.proto.v1.QuotaSpec;
import dev.vireo.sim.client.Muster;
import dev.vireo.sim.client.Promises;
import dev.vireo.sim.client.SimClient;
import dev.vireo.sim.controller.SimController;
import dev.vireo.sim.kernel.SimProcess;
import dev.vireo.sim.kernel.Simulation;
import dev.vireo.sim.network.Cable;
import dev.vireo.sim.network.Link;
import dev.vireo.sim.network.SessionServer;
import dev.vireo.sim.node.SimMachine;
import dev.vireo.sim.store.SimDisk;
import dev.vireo.sim.store.SimEtcd;
import dev.vireo.sim.store.SimEtcdStore;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.SplittableRandom;
import java.util.random.RandomGenerator;

/**
 * A cluster with its clients: some machines, and either one controller with a store of its own or
 * some with an etcd, as many as the seed says.
 */
final class World implements AutoCloseable {
  /** Of nodes. */
  static final Duration LEASE = Duration.ofSeconds(15);

  private static final int MOST_MACHINES = 4;
  private static final int MOST_CLIENTS = 4;
  private static final int MOST_CONTROLLERS = 3;
  private static final double MOST_DRIFT = 0.01;

  private final Simulation simulation;
  private final RandomGenerator random;
  private final SimDisk disk = new SimDisk();
  private final Optional<SimEtcd> etcd;
  private final Promises promises = new Promises();
  private final List<Seat> seats = new ArrayList<>();
  private final List<SimMachine> machines = new ArrayList<>();
  private final List<SimClient> clients = new ArrayList<>();
  private final SimProcess nobody;

  /** Of the operator who sets the project's quota, if it has one. */
  private final Optional<RandomGenerator> ofQuota;

  private long newestMicroVm;

  /**
   * @param directory for the machines' own
   */
  World(Simulation simulation, Path directory) throws IOException {
    this.simulation = simulation;
    this.random = simulation.random();
    this.nobody = new SimProcess(simulation, "nobody", 1, Duration.ZERO);
    nobody.kill();
    disk.listen(this::changed);
    SplittableRandom ofControllers = new SplittableRandom(~simulation.seed());
    this.etcd =
        ofControllers.nextBoolean()
            ? Optional.of(new SimEtcd(simulation, disk, simulation.random()))
            : Optional.empty();
    int controllers = etcd.isPresent() ? controllers(ofControllers) : 1;
    for (int i = 0; i < controllers; i++) {
      Seat seat =
          new Seat(etcd.isPresent() ? "controller-" + i : "controller", this::startController);
      seats.add(seat);
      seat.start();
    }
    Muster muster = ofControllers.nextBoolean() ? Muster.of(ofControllers.split()) : Muster.none();
    this.ofQuota =
        ofControllers.nextBoolean() ? Optional.of(ofControllers.split()) : Optional.empty();
    int machineCount = 1 + random.nextInt(MOST_MACHINES);
    for (int i = 0; i < machineCount; i++) {
      String name = "node-" + i;
      SimMachine machine =
          new SimMachine(
              simulation,
              name,
              NodeResources.newBuilder().setCpuMilli(16_000).setMemoryMib(2048).build(),
              Files.createDirectory(directory.resolve(name)),
              controllers());
      machines.add(machine);
      machine.startWorker();
    }
    int clientCount = 1 + random.nextInt(MOST_CLIENTS);
    for (int i = 0; i < clientCount; i++) {
      clients.add(
          new SimClient(
              new SimProcess(simulation, "client-" + i, 1, Duration.ZERO),
              new Link(simulation.random()),
              controllersOfClients(),
              i % controllers,
              promises,
              new SimClient.Habits(muster, ofQuota.isPresent()),
              simulation.random()));
    }
  }

  /** Two or three most often: one alone has nobody to take over from it, or to forward to. */
  private static int controllers(RandomGenerator random) {
    return Math.max(1 + random.nextInt(MOST_CONTROLLERS), 1 + random.nextInt(MOST_CONTROLLERS));
  }

  private void changed(Change change) {
    if (Records.isMicroVm(change.key())) {
      newestMicroVm = change.version();
    }
  }

  // ---- the controllers

  private SimController startController(Seat seat) {
    double rate = 1 + (random.nextDouble() * 2 - 1) * MOST_DRIFT;
    Duration skew = Duration.ofMillis(random.nextLong(2_000));
    SimProcess process = new SimProcess(simulation, seat.name(), rate, skew);
    if (etcd.isEmpty()) {
      return SimController.sole(process, seat.cable(), seat.address(), disk, LEASE);
    }
    SimEtcdStore store = new SimEtcdStore(etcd.get(), process, seat.toStore(), simulation.random());
    seat.uses(store);
    return SimController.replica(
        process, seat.cable(), seat.address(), store, LEASE, this::controllerAt);
  }

  private Optional<SimController> controllerAt(String address) {
    return seats.stream()
        .filter(seat -> seat.address().equals(address))
        .findFirst()
        .map(Seat::controller);
  }

  private SimMachine.Controllers controllers() {
    return new SimMachine.Controllers() {
      @Override
      public List<String> addresses() {
        return seats.stream().map(Seat::address).toList();
      }

      @Override
      public SessionServer at(String address) {
        return controllerAt(address)
            .filter(SimController::serves)
            .map(SimController::sessions)
            .orElseGet(() ->
                new SessionServer(
                    nobody,
                    new Cable(),
                    _ -> {
                      throw new IllegalStateException();
                    }));
      }
    };
  }

  private SimClient.Controllers controllersOfClients() {
    return new SimClient.Controllers() {
      @Override
      public int count() {
        return seats.size();
      }

      @Override
      public SimController get(int index) {
        return seats.get(index).controller();
      }

      @Override
      public long newest() {
        return newestMicroVm;
      }
    };
  }

  List<Seat> seats() {
    return seats;
  }

  /** The one that takes itself for the leader and gets its turns. */
  Optional<SimController> leader() {
    return seats.stream()
        .map(Seat::controller)
        .filter(controller -> controller.leads() && !controller.process().isPaused())
        .findFirst();
  }

  /** If it is not the store of one controller. */
  Optional<SimEtcd> etcd() {
    return etcd;
  }

  /** Has the store forget what has changed so far. */
  void compact() {
    etcd.ifPresentOrElse(SimEtcd::compact, disk::compact);
  }

  /** An operator's wish. It comes to nothing if nobody leads, or not for long enough. */
  void want(String node, NodeSpec spec) {
    leader().ifPresent(controller -> controller.want(node, spec));
  }

  /** An operator's word that a machine is off. */
  void fence(String node) {
    leader().ifPresent(controller -> controller.fence(node));
  }

  /** An operator's wish, as well: limits for the project of all clients. */
  void limit(QuotaSpec limits) {
    leader().ifPresent(controller -> controller.limit(SimClient.PROJECT, limits));
  }

  /** What the project's quota is made up with, if it has one. */
  Optional<RandomGenerator> ofQuota() {
    return ofQuota;
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

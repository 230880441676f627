package dev.vireo.sim.node;

import dev.vireo.linux.ProcessHandleFd.Exit;
import dev.vireo.proto.v1.NodeResources;
import dev.vireo.sim.kernel.SimProcess;
import dev.vireo.sim.kernel.Simulation;
import dev.vireo.sim.network.Link;
import dev.vireo.sim.network.SessionServer;
import dev.vireo.worker.state.StateDirectory;
import dev.vireo.worker.vmm.VmmAdoption.Found;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.random.RandomGenerator;
import org.jspecify.annotations.Nullable;

/**
 * A machine that is a node: a directory, VMM processes, and a worker, which is killed and started
 * again. A power failure takes all but the directory.
 */
public final class SimMachine {
  private static final double REFUSED_CREATES = 0.02;
  private static final long MOST_SKEW_SECONDS = 100;
  private static final double MOST_DRIFT = 0.01;

  private final Simulation simulation;
  private final String name;
  private final NodeResources capacity;
  private final Path directory;
  private final Link link;
  private final Controllers controllers;
  private final RandomGenerator random;
  private final List<SimVmm> vmms = new ArrayList<>();
  private @Nullable SimWorker worker;
  private boolean mayRefuse = true;
  private boolean off;
  private long changes;
  private int lastPid;
  private int lastUid;

  /** The controllers that its worker can dial. */
  public interface Controllers {
    /** Those that the worker is given. */
    List<String> addresses();

    /** Who is there now. */
    SessionServer at(String address);
  }

  /**
   * @param directory of the worker's state, which exists
   */
  public SimMachine(
      Simulation simulation,
      String name,
      NodeResources capacity,
      Path directory,
      Controllers controllers) {
    this.simulation = simulation;
    this.name = name;
    this.capacity = capacity;
    this.directory = directory;
    this.controllers = controllers;
    this.random = simulation.random();
    this.link = new Link(simulation.random());
    writeUid();
  }

  private void writeUid() {
    try {
      // The worker would make a random one.
      Files.writeString(directory.resolve("node-uid"), name + "-" + ++lastUid);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  public String name() {
    return name;
  }

  public NodeResources capacity() {
    return capacity;
  }

  public Link link() {
    return link;
  }

  /** Whether VMMs may refuse their orders by chance. */
  public void setMayRefuse(boolean mayRefuse) {
    this.mayRefuse = mayRefuse;
  }

  // ---- its worker

  public boolean hasWorker() {
    return worker != null;
  }

  /** Whether its worker has a session with the controller. */
  public boolean isWelcome() {
    return worker != null && worker.isWelcome();
  }

  /** Starts the worker, which takes back what it finds. */
  public void startWorker() {
    double rate = 1 + (random.nextDouble() * 2 - 1) * MOST_DRIFT;
    Duration skew = Duration.ofSeconds(random.nextLong(-MOST_SKEW_SECONDS, MOST_SKEW_SECONDS + 1));
    SimProcess process = new SimProcess(simulation, name, rate, skew);
    SimWorker started = new SimWorker(this, process, simulation.random(), controllers);
    worker = started;
    off = false;
    process.execute(started::run);
  }

  /** SIGKILL; its VMMs live on. */
  public void killWorker() {
    if (worker != null) {
      worker.kill();
      worker = null;
    }
  }

  /** SIGSTOP: its worker does nothing, keeps its connections, and its VMMs live on. */
  public void stopWorker() {
    if (worker != null) {
      worker.process().pause();
    }
  }

  /** SIGCONT. */
  public void resumeWorker() {
    if (worker != null) {
      worker.process().resume();
    }
  }

  /** Ends its connections. */
  public void cutConnections() {
    if (worker != null) {
      worker.cutConnections();
    }
  }

  /** Whether it has no power: one without a worker may have, and guests that run. */
  public boolean isOff() {
    return off;
  }

  /** The whole machine goes down. */
  public void powerFails() {
    say("power fails");
    off = true;
    killWorker();
    List.copyOf(vmms).forEach(vmm -> vmm.die(new Exit.Unknown()));
    vmms.clear();
  }

  /** It is off, and another machine, with nothing on its disk, will come in its place. */
  public void isReplaced() {
    say("is replaced");
    removeFiles();
    try {
      Files.createDirectory(directory);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    writeUid();
  }

  Path directory() {
    return directory;
  }

  // ---- its VMMs

  SimVmm spawn(SimProcess by) {
    SimVmm vmm = new SimVmm(this, by, random, ++lastPid);
    vmms.add(vmm);
    changed();
    return vmm;
  }

  void remove(SimVmm vmm) {
    vmms.remove(vmm);
  }

  boolean refusesNextCreate() {
    return mayRefuse && random.nextDouble() < REFUSED_CREATES;
  }

  /** What a worker finds that starts here. */
  List<Found> found(SimProcess by) {
    List<Found> found = new ArrayList<>();
    for (SimVmm vmm : List.copyOf(vmms)) {
      vmm.takenBackBy(by);
      if (vmm.record().getMicrovmUid().isEmpty()
          || (vmm.isAlive() && vmm.status().getMicrovmUid().isEmpty())) {
        // It has no name, or was given no orders yet: nobody will give it any.
        vmm.die(new Exit.Signal(9));
        vmms.remove(vmm);
      } else if (vmm.isAlive()) {
        found.add(new Found.Running(vmm, vmm.record(), vmm.status()));
      } else {
        found.add(
            new Found.Gone(
                vmm.record(), "ended meanwhile", vmm.lastWords(), () -> vmms.remove(vmm)));
      }
    }
    return found;
  }

  /** One of its guests powers off, or its VMM dies. */
  public void endSomeGuest() {
    List<SimVmm> running = vmms.stream().filter(SimVmm::hasGuest).toList();
    if (!running.isEmpty()) {
      SimVmm vmm = running.get(random.nextInt(running.size()));
      if (random.nextBoolean()) {
        vmm.powerOff();
      } else {
        vmm.die(new Exit.Signal(9));
      }
    }
  }

  // ---- what is true of it

  /**
   * A guest that runs.
   *
   * @param node the machine's name
   */
  public record Guest(String node, String uid, long attempt, long memoryMib) {}

  public List<Guest> guests() {
    return vmms.stream()
        .filter(SimVmm::hasGuest)
        .map(vmm ->
            new Guest(
                name, vmm.record().getMicrovmUid(), vmm.record().getAttempt(), vmm.memoryMib()))
        .toList();
  }

  /** Uids of what the worker keeps files of. */
  public List<String> microVmDirectories() {
    try (var entries = Files.list(directory.resolve("microvms"))) {
      return entries.map(entry -> String.valueOf(entry.getFileName())).sorted().toList();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** Something is different about its guests, or may be. */
  void changed() {
    changes++;
  }

  /** Grows whenever {@link #guests} may have changed. */
  public long changes() {
    return changes;
  }

  void say(String what) {
    simulation.trace().line(simulation.nanos(), name, what);
  }

  /** Removes its files. It has no worker any more. */
  public void close() {
    killWorker();
    removeFiles();
  }

  private void removeFiles() {
    try {
      StateDirectory.removeTree(directory);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}

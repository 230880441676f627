package dev.vireo.sim;

import dev.vireo.proto.v1.Drain;
import dev.vireo.proto.v1.NodeSpec;
import dev.vireo.proto.v1.Taint;
import dev.vireo.proto.v1.TaintEffect;
import dev.vireo.sim.kernel.Simulation;
import dev.vireo.sim.node.SimMachine;
import java.time.Duration;
import java.util.random.RandomGenerator;

/**
 * What goes wrong, and what operators do: at random moments something random, which is mended after
 * a random time. How often is the seed's decision too, so that some worlds are quiet and some never
 * come to rest.
 */
final class Faults {
  private static final Duration LONGEST_CALM = Duration.ofSeconds(20);

  private final World world;
  private final Simulation simulation;
  private final RandomGenerator random;
  private final long calmNanos;
  private boolean over;

  Faults(World world) {
    this.world = world;
    this.simulation = world.simulation();
    this.random = simulation.random();
    this.calmNanos = 100_000_000 + random.nextLong(LONGEST_CALM.toNanos());
    double doubled = random.nextInt(3) == 0 ? random.nextDouble() : 0;
    world.machines().forEach(machine -> machine.link().setDoubled(doubled));
    next();
  }

  private void next() {
    after(
        Duration.ofNanos(random.nextLong(2 * calmNanos)),
        () -> {
          if (!over) {
            strike();
            next();
          }
        });
  }

  private void strike() {
    SimMachine machine = world.machines().get(random.nextInt(world.machines().size()));
    switch (random.nextInt(14)) {
      case 0 -> killController();
      case 1 -> killWorker(machine);
      case 2 -> powerFails(machine);
      case 3 -> machine.cutConnections();
      case 4 -> linkGoesDown(machine);
      case 5 -> diskIsFull();
      case 6 -> world.disk().compact();
      case 7, 8 -> drain(machine);
      case 9 -> powerFailsForLong(machine);
      case 10 -> answersAreLost();
      case 11 -> taint(machine);
      default -> machine.endSomeGuest();
    }
  }

  private void killController() {
    world.killController();
    after(upTo(8), this::startController);
  }

  private void startController() {
    if (!world.hasController()) {
      world.startController();
    }
  }

  private void killWorker(SimMachine machine) {
    machine.killWorker();
    after(upTo(20), () -> startWorker(machine));
  }

  private static void startWorker(SimMachine machine) {
    if (!machine.hasWorker()) {
      machine.startWorker();
    }
  }

  private void powerFails(SimMachine machine) {
    machine.powerFails();
    if (random.nextInt(3) == 0) {
      machine.isReplaced();
    }
    after(upTo(60), () -> startWorker(machine));
  }

  private void drain(SimMachine machine) {
    want(
        machine, NodeSpec.newBuilder().setDrain(Drain.newBuilder().setForce(random.nextBoolean())));
    after(upTo(40), () -> want(machine, NodeSpec.newBuilder()));
  }

  /** Some microVMs tolerate it, see SimClient. */
  private void taint(SimMachine machine) {
    Taint.Builder taint =
        Taint.newBuilder()
            .setKey("unwell")
            .setEffect(random.nextBoolean() ? TaintEffect.NO_EXECUTE : TaintEffect.NO_SCHEDULE);
    want(machine, NodeSpec.newBuilder().addTaints(taint));
    after(upTo(40), () -> want(machine, NodeSpec.newBuilder()));
  }

  private void want(SimMachine machine, NodeSpec.Builder spec) {
    if (world.hasController()) {
      world.want(machine.name(), spec.build());
    }
  }

  /** So that an operator may say that it is off, as it is. */
  private void powerFailsForLong(SimMachine machine) {
    machine.powerFails();
    after(upTo(60), () -> fence(machine));
    after(upTo(90), () -> startWorker(machine));
  }

  private void fence(SimMachine machine) {
    if (machine.isOff() && world.hasController()) {
      world.fence(machine.name());
    }
  }

  private void linkGoesDown(SimMachine machine) {
    say("the link to " + machine.name() + " goes down");
    machine.link().setUp(false);
    machine.cutConnections();
    after(upTo(40), () -> machine.link().setUp(true));
  }

  private void diskIsFull() {
    say("the store's disk is full");
    world.disk().setFull(true);
    after(upTo(5), () -> world.disk().setFull(false));
  }

  private void answersAreLost() {
    say("the store's answers are lost");
    world.disk().setAnswersLost(random.nextDouble());
    after(upTo(5), () -> world.disk().setAnswersLost(0));
  }

  private Duration upTo(int seconds) {
    return Duration.ofNanos(random.nextLong(seconds * 1_000_000_000L));
  }

  private void after(Duration wait, Runnable action) {
    var _ = simulation.after(wait, action);
  }

  private void say(String what) {
    simulation.trace().line(simulation.nanos(), "world", what);
  }

  /** Mends all there is to mend, and lets nothing more happen. */
  void end() {
    over = true;
    say("faults are over");
    world.disk().setFull(false);
    world.disk().setAnswersLost(0);
    startController();
    for (SimMachine machine : world.machines()) {
      machine.link().setUp(true);
      machine.setMayRefuse(false);
      startWorker(machine);
      openAtLast(machine);
    }
  }

  /** Whatever else fails meanwhile: nodes that are closed for ever are no room. */
  private void openAtLast(SimMachine machine) {
    want(machine, NodeSpec.newBuilder());
    after(Duration.ofSeconds(5), () -> openAtLast(machine));
  }

  /** For a controller that has given up, as its supervisor does. */
  void supervise() {
    after(
        Duration.ofSeconds(1),
        () -> {
          startController();
          supervise();
        });
  }
}

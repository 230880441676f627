package dev.vireo.sim;

import dev.vireo.proto.v1.Drain;
import dev.vireo.proto.v1.NodeSpec;
import dev.vireo.proto.v1.QuotaSpec;
import dev.vireo.proto.v1.Taint;
import dev.vireo.proto.v1.TaintEffect;
import dev.vireo.sim.kernel.SimProcess;
import dev.vireo.sim.kernel.Simulation;
import dev.vireo.sim.network.Cable;
import dev.vireo.sim.node.SimMachine;
import dev.vireo.sim.store.SimEtcd;
import java.time.Duration;
import java.util.List;
import java.util.random.RandomGenerator;

/**
 * What goes wrong, and what operators do: at random moments something random, which is mended after
 * a random time. How often is the seed's decision too, so that some worlds are quiet and some never
 * come to rest.
 */
final class Faults {
  private static final Duration LONGEST_CALM = Duration.ofSeconds(20);

  /** Of quotas: about what clients would have. */
  private static final int MOST_MICRO_VMS = 12;

  private static final int MOST_GIB = 8;

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
    world.ofQuota().ifPresent(this::setQuota);
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
    if (world.etcd().isPresent() && random.nextInt(5) < 2) {
      strikeControllers(world.etcd().get());
      return;
    }
    SimMachine machine = world.machines().get(random.nextInt(world.machines().size()));
    switch (random.nextInt(15)) {
      case 0 -> killController();
      case 1 -> killWorker(machine);
      case 2 -> powerFails(machine);
      case 3 -> machine.cutConnections();
      case 4 -> linkGoesDown(machine);
      case 5 -> diskIsFull();
      case 6 -> world.compact();
      case 7, 8 -> drain(machine);
      case 9 -> powerFailsForLong(machine);
      case 10 -> answersAreLost();
      case 11 -> taint(machine);
      case 12 -> stopWorker(machine);
      default -> machine.endSomeGuest();
    }
  }

  // ---- controllers

  /** What can go wrong with several, and with what they have in common. */
  private void strikeControllers(SimEtcd etcd) {
    Seat seat = someSeat();
    switch (random.nextInt(9)) {
      case 0, 1 -> stopForAWhile(seat);
      case 2, 3 -> seat.beforeNextCommit(() -> stopForAWhile(seat));
      case 4 -> endInOrder(seat);
      case 5 -> {
        say(seat.name() + " cannot reach etcd");
        unplug(seat.toStore());
      }
      case 6 -> {
        say(seat.name() + " is cut off from all but etcd");
        unplug(seat.cable());
      }
      case 7 -> lag(seat);
      default -> loseMajority(etcd);
    }
  }

  /** The leader more often than others: most of what can go wrong does so with it. */
  private Seat someSeat() {
    List<Seat> seats = world.seats();
    Seat any = seats.get(random.nextInt(seats.size()));
    return random.nextBoolean()
        ? seats.stream().filter(seat -> seat.controller().leads()).findFirst().orElse(any)
        : any;
  }

  /** For longer than its lease, or not. */
  private void stopForAWhile(Seat seat) {
    SimProcess process = seat.controller().process();
    if (!over) {
      process.pause();
      after(upTo(20), process::resume);
    }
  }

  private void endInOrder(Seat seat) {
    seat.stop();
    after(upTo(8), () -> start(seat));
  }

  private void unplug(Cable cable) {
    cable.pull();
    after(upTo(25), cable::plugIn);
  }

  private void lag(Seat seat) {
    Duration lag = upTo(8);
    say("%s hears of changes %d ms late".formatted(seat.name(), lag.toMillis()));
    seat.setLag(lag);
    after(upTo(20), () -> seat.setLag(Duration.ZERO));
  }

  private void loseMajority(SimEtcd etcd) {
    say("etcd has no majority");
    etcd.setMajority(false);
    after(upTo(20), () -> etcd.setMajority(true));
  }

  private void killController() {
    Seat seat = world.etcd().isPresent() ? someSeat() : world.seats().getFirst();
    seat.kill();
    after(upTo(8), () -> start(seat));
  }

  private static void start(Seat seat) {
    seat.startIfDead();
  }

  // ---- machines

  private void killWorker(SimMachine machine) {
    machine.killWorker();
    after(upTo(20), () -> startWorker(machine));
  }

  /** For longer than its lease, or not. */
  private void stopWorker(SimMachine machine) {
    machine.stopWorker();
    after(upTo(40), machine::resumeWorker);
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
    world.want(machine.name(), spec.build());
  }

  /** So that an operator may say that it is off, as it is. */
  private void powerFailsForLong(SimMachine machine) {
    machine.powerFails();
    after(upTo(60), () -> fence(machine));
    after(upTo(90), () -> startWorker(machine));
  }

  private void fence(SimMachine machine) {
    if (machine.isOff()) {
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

  /** What there is stays, also if it is more. */
  private void setQuota(RandomGenerator of) {
    QuotaSpec.Builder limits = QuotaSpec.newBuilder();
    if (of.nextInt(4) > 0) {
      limits.setMicrovms(1 + of.nextInt(MOST_MICRO_VMS));
    }
    if (of.nextInt(4) == 0) {
      limits.setVcpus(1 + of.nextInt(MOST_MICRO_VMS));
    }
    if (of.nextInt(2) == 0) {
      limits.setMemoryMib(1024L * (1 + of.nextInt(MOST_GIB)));
    }
    world.limit(limits.build());
    after(
        Duration.ofNanos(of.nextLong(LONGEST_CALM.toNanos())),
        () -> {
          if (!over) {
            setQuota(of);
          }
        });
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
    world.etcd().ifPresent(etcd -> etcd.setMajority(true));
    for (Seat seat : world.seats()) {
      seat.cable().plugIn();
      seat.toStore().plugIn();
      seat.setLag(Duration.ZERO);
      seat.controller().process().resume();
      start(seat);
    }
    for (SimMachine machine : world.machines()) {
      machine.link().setUp(true);
      machine.setMayRefuse(false);
      machine.resumeWorker();
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
          // With several, one that was killed is missed for a while: the others go on.
          world.seats().stream()
              .filter(seat -> world.etcd().isEmpty() || !seat.isDown())
              .forEach(Faults::start);
          supervise();
        });
  }
}

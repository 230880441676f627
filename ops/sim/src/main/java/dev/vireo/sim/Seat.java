package dev.vireo.sim;

import dev.vireo.sim.controller.SimController;
import dev.vireo.sim.network.Cable;
import dev.vireo.sim.store.SimEtcdStore;
import java.time.Duration;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;

/** Where a controller's process runs, and the next one when that has ended. */
final class Seat {
  private final String name;
  private final Cable cable = new Cable();
  private final Cable toStore = new Cable();
  private final Function<Seat, SimController> starts;
  private @Nullable SimController controller;
  private @Nullable SimEtcdStore store;
  private boolean down;

  /**
   * @param starts starts a controller's process there
   */
  Seat(String name, Function<Seat, SimController> starts) {
    this.name = name;
    this.starts = starts;
  }

  String name() {
    return name;
  }

  String address() {
    return name + ":7420";
  }

  /** To workers, clients and other controllers. */
  Cable cable() {
    return cable;
  }

  Cable toStore() {
    return toStore;
  }

  /** The last that was started. */
  SimController controller() {
    if (controller == null) {
      throw new IllegalStateException("a world begins with its controllers");
    }
    return controller;
  }

  boolean isAlive() {
    return controller().process().isAlive();
  }

  /** Whether it stays without a process until {@link #start}. */
  boolean isDown() {
    return down;
  }

  void start() {
    down = false;
    controller = starts.apply(this);
  }

  void startIfDead() {
    down = false;
    if (!isAlive()) {
      start();
    }
  }

  void kill() {
    down = true;
    controller().process().kill();
  }

  /** In good order. */
  void stop() {
    down = true;
    controller().stop();
  }

  /** The store of the process that is being started. */
  void uses(SimEtcdStore opened) {
    store = opened;
  }

  /** How much later than they need its controller is told of changes. */
  void setLag(Duration lag) {
    if (store != null) {
      store.setLag(lag);
    }
  }

  /** Has something happen when its controller has decided on a commit, and has not sent it. */
  void beforeNextCommit(Runnable action) {
    if (store != null) {
      store.beforeNextCommit(action);
    }
  }
}

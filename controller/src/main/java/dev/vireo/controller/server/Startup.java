package dev.vireo.controller.server;

import dev.vireo.controller.reconcile.Reconciler;
import io.quarkus.runtime.ShutdownEvent;
import io.quarkus.runtime.StartupEvent;
import jakarta.enterprise.event.Observes;
import jakarta.inject.Singleton;

/** What begins and ends with the process. */
@Singleton
class Startup {
  private final Reconciler reconciler;

  Startup(Reconciler reconciler) {
    this.reconciler = reconciler;
  }

  void onStart(@Observes StartupEvent event) {
    Thread.ofPlatform().name("reconciler").daemon().start(reconciler);
  }

  void onStop(@Observes ShutdownEvent event) {
    reconciler.close();
  }
}

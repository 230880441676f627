package dev.vireo.controller.store;

import java.time.Duration;

/** How long a key stays if nobody removes it. */
public sealed interface Lifetime {
  Lifetime UNLIMITED = new Unlimited();

  /** For good. */
  record Unlimited() implements Lifetime {}

  /** From its put on it never goes earlier, and some time later it does. */
  record AtLeast(Duration time) implements Lifetime {}

  /** It goes when a lease ends that this store has granted. */
  record Leased(Store.Lease lease) implements Lifetime {}
}

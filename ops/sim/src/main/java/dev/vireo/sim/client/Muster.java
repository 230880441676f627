package dev.vireo.sim.client;

import dev.vireo.proto.v1.Gang;
import java.util.Optional;
import java.util.random.RandomGenerator;

/**
 * Which gang a new microVM is to be of, if any: all clients make up one gang after the other. Some
 * get one more than they need, and some are never whole, since a create is refused.
 */
public final class Muster {
  private static final int MOST_MEMBERS = 4;

  private final Optional<RandomGenerator> random;
  private Gang gang = Gang.getDefaultInstance();
  private int missing;
  private int gangs;

  private Muster(Optional<RandomGenerator> random) {
    this.random = random;
  }

  /** Of clients that want some of their microVMs placed together. */
  public static Muster of(RandomGenerator random) {
    return new Muster(Optional.of(random));
  }

  /** Of clients that want none of them so. */
  public static Muster none() {
    return new Muster(Optional.empty());
  }

  Optional<Gang> next() {
    return random.filter(RandomGenerator::nextBoolean).map(this::join);
  }

  private Gang join(RandomGenerator of) {
    if (missing == 0) {
      int size = 2 + of.nextInt(MOST_MEMBERS - 1);
      gang = Gang.newBuilder().setName("gang-" + gangs++).setSize(size).build();
      missing = of.nextInt(4) == 0 ? size + 1 : size;
    }
    missing--;
    return gang;
  }
}

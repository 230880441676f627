package dev.vireo.vmm.virtio.vsock;

import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/**
 * The connections of a device, by slot and by their two ports. Both tables double when they are
 * full, up to {@link #MOST} connections; a lookup allocates nothing.
 */
final class ConnectionTable {
  /** What a guest and the processes of the host can have of it at once. */
  static final int MOST = Connection.mostSlots();

  private static final int FIRST_SLOTS = 16;

  /** Twice as many places as connections: half of them stay empty, so that probes are short. */
  private static final int PLACES_PER_SLOT = 2;

  private final int firstGeneration;
  private int nextGeneration;
  private @Nullable Connection[] slots = new Connection[FIRST_SLOTS];
  private int made;
  private int[] freeSlots = new int[FIRST_SLOTS];
  private int freeCount;

  /** Open addressing, linear probing: a slot and one, or 0 where there is none. */
  private int[] places = new int[FIRST_SLOTS * PLACES_PER_SLOT];

  /**
   * @param firstGeneration of the connections' keys
   */
  ConnectionTable(int firstGeneration) {
    this.firstGeneration = firstGeneration;
    this.nextGeneration = firstGeneration;
  }

  /** One that no key of an ended connection has. */
  int nextGeneration() {
    return nextGeneration;
  }

  /** A connection that is free, or null if there are too many. */
  @Nullable Connection allocate() {
    if (freeCount > 0) {
      return slots[freeSlots[--freeCount]];
    }
    if (made == MOST) {
      return null;
    }
    if (made == slots.length) {
      grow();
    }
    Connection connection = new Connection(made, firstGeneration);
    slots[made++] = connection;
    return connection;
  }

  private void grow() {
    slots = Arrays.copyOf(slots, 2 * made);
    freeSlots = Arrays.copyOf(freeSlots, 2 * made);
    int[] before = places;
    places = new int[2 * made * PLACES_PER_SLOT];
    for (int place : before) {
      if (place != 0) {
        put(place);
      }
    }
  }

  /** Takes back a connection that has no ports here any more. */
  void release(Connection connection) {
    connection.end();
    nextGeneration = Connection.later(nextGeneration, connection.generation());
    freeSlots[freeCount++] = connection.slot;
  }

  /** How many are not free. */
  int count() {
    return made - freeCount;
  }

  boolean isFull() {
    return count() == MOST;
  }

  /** The connection of this key, unless that has ended. */
  @Nullable Connection byKey(int key) {
    int slot = Connection.slotOf(key);
    Connection connection = slot < made ? slots[slot] : null;
    return connection != null && connection.key() == key ? connection : null;
  }

  /** The {@code index}th of all that were ever made, {@code 0 <= index < made()}; may be free. */
  Connection made(int index) {
    Connection connection = slots[index];
    if (connection == null) {
      throw new IndexOutOfBoundsException(index);
    }
    return connection;
  }

  int made() {
    return made;
  }

  /** The connection between these ports. */
  @Nullable Connection byPorts(int hostPort, int guestPort) {
    for (int at = home(hostPort, guestPort); places[at] != 0; at = next(at)) {
      Connection candidate = made(places[at] - 1);
      if (candidate.hostPort == hostPort && candidate.guestPort == guestPort) {
        return candidate;
      }
    }
    return null;
  }

  /** Makes a connection known by its ports, which no other has. */
  void bind(Connection connection) {
    put(connection.slot + 1);
  }

  private void put(int place) {
    Connection connection = made(place - 1);
    int at = home(connection.hostPort, connection.guestPort);
    while (places[at] != 0) {
      at = next(at);
    }
    places[at] = place;
  }

  /** Forgets a connection's ports, if they are known. */
  void unbind(Connection connection) {
    int at = home(connection.hostPort, connection.guestPort);
    while (places[at] != connection.slot + 1) {
      if (places[at] == 0) {
        return;
      }
      at = next(at);
    }
    places[at] = 0;
    // Whoever was moved on by it moves up, so that no probe ends too soon.
    for (at = next(at); places[at] != 0; at = next(at)) {
      int moved = places[at];
      places[at] = 0;
      put(moved);
    }
  }

  private int home(int hostPort, int guestPort) {
    long mixed = ((long) hostPort << 32 | Integer.toUnsignedLong(guestPort)) * 0x9e3779b97f4a7c15L;
    return (int) (mixed >>> 32) & (places.length - 1);
  }

  private int next(int place) {
    return (place + 1) & (places.length - 1);
  }
}

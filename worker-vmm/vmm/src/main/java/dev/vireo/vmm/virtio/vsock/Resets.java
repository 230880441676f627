package dev.vireo.vmm.virtio.vsock;

/**
 * RST packets that the guest is owed for packets of no connection: they have nowhere else to wait.
 * A queue of fixed size; while it is full, no packet is taken from the guest.
 */
final class Resets {
  private static final int CAPACITY = 64;

  private final int[] hostPorts = new int[CAPACITY];
  private final int[] guestPorts = new int[CAPACITY];
  private final int[] types = new int[CAPACITY];
  private int first;
  private int count;

  boolean isEmpty() {
    return count == 0;
  }

  boolean isFull() {
    return count == CAPACITY;
  }

  /** Answers a packet of the guest; there must be room. */
  void add(PacketHeader answered) {
    if (isFull()) {
      throw new IllegalStateException("no room for a reset");
    }
    int at = (first + count++) % CAPACITY;
    hostPorts[at] = answered.destinationPort;
    guestPorts[at] = answered.sourcePort;
    types[at] = answered.type;
  }

  /** Fills in what is particular of the first, and removes it. */
  void take(PacketHeader header) {
    header.operation = PacketHeader.OP_RST;
    header.sourcePort = hostPorts[first];
    header.destinationPort = guestPorts[first];
    header.type = types[first];
    first = (first + 1) % CAPACITY;
    count--;
  }
}

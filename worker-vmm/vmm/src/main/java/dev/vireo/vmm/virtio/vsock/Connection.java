package dev.vireo.vmm.virtio.vsock;

import dev.vireo.linux.Fd;
import org.jspecify.annotations.Nullable;

/**
 * A stream between a process of the host and one of the guest: where it stands, what each side has
 * said, and how much it may send (VIRTIO 1.2, sections 5.10.6.3 to 5.10.6.5). Used again for
 * another connection when it has ended.
 *
 * <p>Counters of bytes are free-running 32-bit numbers, compared by their difference.
 */
final class Connection {
  /**
   * Where it stands.
   *
   * <pre>
   *   COMMAND ─► REQUESTED ─┐
   *                         ├─► ESTABLISHED ─► ENDING ─► FREE
   *   FREE ────► DIALING ───┘        └───────► DRAINING ─► FREE
   * </pre>
   */
  enum State {
    FREE,
    /** The host's process has connected, and not yet said where to. */
    COMMAND,
    /** The guest is asked. */
    REQUESTED,
    /** The guest asks; the worker has not connected to the host's process yet. */
    DIALING,
    ESTABLISHED,
    /** The guest was told that nothing goes either way; it has yet to confirm. */
    ENDING,
    /** The guest is done with it, and the host's process has not read all. */
    DRAINING
  }

  // What it owes the guest, each a packet.
  static final int OWES_RESET = 1;
  static final int OWES_REQUEST = 1 << 1;
  static final int OWES_RESPONSE = 1 << 2;
  static final int OWES_CREDIT_REQUEST = 1 << 3;
  static final int OWES_CREDIT_UPDATE = 1 << 4;

  private static final int SLOT_BITS = 12;
  private static final int LAST_GENERATION = Integer.MAX_VALUE >> SLOT_BITS;

  final int slot;
  private int generation;

  State state = State.FREE;
  @Nullable Fd socket;
  int hostPort;
  int guestPort;

  private int owed;

  /** It is in the list of those who have something to say. */
  boolean inSpeakers;

  /** It is in the list of those for whom the worker has yet to be asked. */
  boolean inDials;

  /** The worker was asked. */
  boolean dialed;

  // From host to guest.

  /** There may be something to read in the socket. */
  boolean readable;

  /** The end is somewhere in the socket, after what can be read. */
  boolean endAnnounced;

  /** The host's process has closed, so it does not receive either. */
  boolean hungUp;

  /** All of the host's has been read. */
  boolean hostSendsNoMore;

  boolean hostReceivesNoMore;
  private boolean creditAsked;
  private int sent;
  private int guestBuffer;
  private int guestForwarded;

  // From guest to host.

  @Nullable SendBuffer buffer;
  private int received;
  private int forwarded;
  private int toldForwarded;

  /** SHUTDOWN flags of the guest, and those it was told. */
  int guestShutdown;

  private int toldShutdown;

  /**
   * @param generation of its first key
   */
  Connection(int slot, int generation) {
    this.slot = slot;
    this.generation = generation;
  }

  int generation() {
    return generation;
  }

  /**
   * Of two generations not far from each other the later one: they begin anew when all were used.
   */
  static int later(int one, int other) {
    int ahead = (other - one) & LAST_GENERATION;
    return ahead <= LAST_GENERATION / 2 ? other : one;
  }

  /** Names this connection and none that had its slot before. */
  int key() {
    return generation << SLOT_BITS | slot;
  }

  /** The slot in a key. */
  static int slotOf(int key) {
    return key & ((1 << SLOT_BITS) - 1);
  }

  static int mostSlots() {
    return 1 << SLOT_BITS;
  }

  /** Begins anew. */
  void begin(State first) {
    state = first;
    owed = 0;
    dialed = false;
    readable = false;
    endAnnounced = false;
    hungUp = false;
    hostSendsNoMore = false;
    hostReceivesNoMore = false;
    creditAsked = false;
    sent = 0;
    guestBuffer = 0;
    guestForwarded = 0;
    received = 0;
    forwarded = 0;
    toldForwarded = 0;
    guestShutdown = 0;
    toldShutdown = 0;
  }

  /** From now on its key means nothing. Keys stay positive. */
  void end() {
    state = State.FREE;
    owed = 0;
    generation = (generation + 1) & LAST_GENERATION;
  }

  // What it owes the guest

  void owe(int packets) {
    owed |= packets;
  }

  boolean owes(int packet) {
    return (owed & packet) != 0;
  }

  /** Whether it owes this packet, which from now on it does not. */
  boolean pay(int packet) {
    boolean owes = owes(packet);
    owed &= ~packet;
    return owes;
  }

  boolean hasToSay() {
    return owed != 0
        || (state == State.ESTABLISHED
            && (shutdownToTell() != 0 || (wantsToRead() && mayRead() > 0)));
  }

  // From host to guest (5.10.6.3)

  /** The guest says how much it has room for, which every packet of it does. */
  void heard(PacketHeader header) {
    guestBuffer = header.bufferSize;
    guestForwarded = header.forwarded;
    if (mayRead() > 0) {
      creditAsked = false;
    }
  }

  /** Whether there may be bytes for the guest. */
  boolean wantsToRead() {
    return readable && !hostSendsNoMore && (guestShutdown & PacketHeader.SHUTDOWN_RECEIVE) == 0;
  }

  /**
   * A process that has closed neither sends nor receives, once what it had sent is read or
   * unwanted.
   */
  void noteHangUp() {
    if (hungUp && !wantsToRead()) {
      hostSendsNoMore = true;
      hostReceivesNoMore = true;
    }
  }

  /** Bytes that the guest has room for: 5.10.6.3, {@code peer_free}. */
  long mayRead() {
    long inFlight = Integer.toUnsignedLong(sent - guestForwarded);
    return Math.max(0, Integer.toUnsignedLong(guestBuffer) - inFlight);
  }

  /** Whether it is time to ask the guest for room, which is done once. */
  boolean asksForCredit() {
    if (creditAsked || state != State.ESTABLISHED || !wantsToRead() || mayRead() > 0) {
      return false;
    }
    creditAsked = true;
    return true;
  }

  void sent(long bytes) {
    sent += (int) bytes;
  }

  // From guest to host

  /** Bytes of the guest that there is room for. */
  int room() {
    return SendBuffer.CAPACITY - (received - forwarded);
  }

  void received(int bytes) {
    received += bytes;
  }

  /** Bytes have gone on to the host's process, or nowhere. */
  void forwarded(int bytes) {
    forwarded += bytes;
  }

  /** Whether the guest should hear that there is room again: it knows of half of it at most. */
  boolean owesRoom() {
    return forwarded != toldForwarded && received - toldForwarded >= SendBuffer.CAPACITY / 2;
  }

  /** Says in a packet to the guest what there is room for. */
  void tellRoom(PacketHeader header) {
    header.bufferSize = SendBuffer.CAPACITY;
    header.forwarded = forwarded;
    toldForwarded = forwarded;
    owed &= ~OWES_CREDIT_UPDATE;
  }

  // Both

  /** SHUTDOWN flags that the guest has yet to be told. */
  int shutdownToTell() {
    int now =
        (hostSendsNoMore ? PacketHeader.SHUTDOWN_SEND : 0)
            | (hostReceivesNoMore ? PacketHeader.SHUTDOWN_RECEIVE : 0);
    return now & ~toldShutdown;
  }

  /** All SHUTDOWN flags, which the guest is told now. */
  int tellShutdown() {
    toldShutdown |= shutdownToTell();
    return toldShutdown;
  }
}

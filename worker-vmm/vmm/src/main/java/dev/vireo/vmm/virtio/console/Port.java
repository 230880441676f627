package dev.vireo.vmm.virtio.console;

import dev.vireo.vmm.memory.IoVector;
import dev.vireo.vmm.virtio.queue.ByteRing;
import dev.vireo.vmm.virtio.queue.DescriptorChain;
import java.nio.charset.StandardCharsets;
import org.jspecify.annotations.Nullable;

/**
 * A port: its client on the host, what is kept for one, and what the driver has said of it and is
 * owed (VIRTIO 1.2, section 5.3.6.2).
 */
final class Port {
  // What the driver is owed, each a control message; told in this order.
  static final int OWES_ADD = 1;
  static final int OWES_CONSOLE = 1 << 1;
  static final int OWES_NAME = 1 << 2;
  static final int OWES_SIZE = 1 << 3;
  static final int OWES_CLOSED = 1 << 4;
  static final int OWES_OPEN = 1 << 5;

  /** What a console keeps of its output for a client to come. */
  static final int KEPT_BYTES = 64 << 10;

  private final int number;
  private final String name;
  private final byte[] nameBytes;
  private final boolean console;
  private final HostSocket host;
  private final ConsoleContext context;
  private volatile ConsoleSize size;
  private @Nullable ByteRing kept;

  private boolean ready;
  private volatile boolean open;
  private int owed;

  Port(int number, PortSetup setup, HostSocket host, ConsoleContext context) {
    this.number = number;
    this.name = setup.name();
    this.nameBytes = setup.name().getBytes(StandardCharsets.UTF_8);
    this.console = setup.console();
    this.size = setup.size();
    this.host = host;
    this.context = context;
  }

  int number() {
    return number;
  }

  String name() {
    return name;
  }

  byte[] nameBytes() {
    return nameBytes;
  }

  HostSocket host() {
    return host;
  }

  ConsoleSize size() {
    return size;
  }

  /** For people. */
  String describe() {
    return (console ? "console" : "pipe")
        + (host.isConnected() ? ", client connected" : ", no client")
        + (open ? ", open in the guest" : "");
  }

  // ---- The driver. ----

  /** Nothing was said, nothing is owed. */
  void forgetDriver() {
    ready = false;
    open = false;
    owed = 0;
  }

  /** It is there for a driver that knows of no other ports, and says nothing of this one. */
  void useSilently() {
    open = true;
  }

  boolean isReady() {
    return ready;
  }

  /** The driver has set it up: it hears what there is to know. */
  void makeReady() {
    ready = true;
    owe(OWES_NAME);
    if (console) {
      owe(OWES_CONSOLE);
    }
    if (!size.equals(ConsoleSize.UNKNOWN)) {
      owe(OWES_SIZE);
    }
    if (host.isConnected()) {
      owe(OWES_OPEN);
    }
  }

  /** Whether somebody in the guest takes what comes. */
  boolean isOpen() {
    return open;
  }

  void setOpen(boolean byGuest) {
    open = byGuest;
  }

  void owe(int message) {
    owed |= message;
  }

  /** The message to be told next, 0 if there is none. */
  int firstOwed() {
    return Integer.lowestOneBit(owed);
  }

  /** The driver has been told. */
  void pay(int message) {
    owed &= ~message;
  }

  void resize(ConsoleSize to) {
    if (!to.equals(size)) {
      size = to;
      if (ready && console) {
        owe(OWES_SIZE);
      }
    }
  }

  // ---- The client. ----

  /**
   * Does what the client alone makes due: lets go one that has closed, takes the next, and sends it
   * what is kept.
   */
  void attend(IoVector vector) {
    host.lookForEnd(vector);
    if (host.isDone()) {
      release();
    } else if (host.isLeftOver()) {
      context.count(ConsoleEvent.CLIENTS_CUT_OFF);
      release();
    }
    if (!host.isConnected() && host.accept() && ready) {
      owe(OWES_OPEN);
    }
    sendKept(vector);
  }

  private void release() {
    host.release();
    if ((owed & OWES_OPEN) != 0) {
      pay(OWES_OPEN); // It need not hear of this one at all.
    } else if (ready) {
      owe(OWES_CLOSED);
    }
  }

  private void sendKept(IoVector vector) {
    ByteRing waiting = kept;
    while (waiting != null && !waiting.isEmpty() && host.takesOutput() && !host.isFull()) {
      vector.clear();
      waiting.gather(vector);
      waiting.remove((int) host.send(vector));
    }
  }

  /** Whether output can go to the client, now or later, behind nothing that is kept. */
  boolean sendsDirectly() {
    return host.takesOutput() && (kept == null || kept.isEmpty());
  }

  /** Whether the guest has to wait until the client has room. */
  boolean holdsUp() {
    return host.takesOutput() && !(console && host.isStuck());
  }

  /** Output that the client does not get now: a console's is kept, and what is older dropped. */
  void keep(DescriptorChain chain, long from) {
    long count = chain.readableBytes() - from;
    if (!console) {
      context.count(ConsoleEvent.BYTES_DROPPED, count);
      return;
    }
    int last = (int) Math.min(count, KEPT_BYTES);
    ByteRing waiting = kept();
    int over = Math.max(0, last - waiting.room());
    waiting.remove(over);
    waiting.append(chain, chain.readableBytes() - last, last);
    context.count(ConsoleEvent.BYTES_DROPPED, count - last + over);
  }

  /** A character of a driver in need, kept as any other. */
  void keep(byte character) {
    ByteRing waiting = kept();
    if (waiting.room() == 0) {
      waiting.remove(1);
      context.count(ConsoleEvent.BYTES_DROPPED);
    }
    waiting.append(character);
  }

  private ByteRing kept() {
    ByteRing waiting = kept;
    if (waiting == null) {
      waiting = new ByteRing(KEPT_BYTES);
      kept = waiting;
    }
    return waiting;
  }

  void close() {
    host.close();
    if (kept != null) {
      kept.free();
      kept = null;
    }
  }
}

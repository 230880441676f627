package dev.vireo.vmm.virtio.console;

import dev.vireo.vmm.virtio.queue.DescriptorChain;
import dev.vireo.vmm.virtio.queue.LiveQueue;
import dev.vireo.vmm.virtio.queue.QueueSignals;
import org.jspecify.annotations.Nullable;

/**
 * The two control queues, for as long as one driver uses them (VIRTIO 1.2, section 5.3.6.2): driver
 * and device tell each other of ports that come, open and close.
 */
final class ControlQueues {
  /** Messages in one direction before the other has its turn. */
  private static final int TURN = 16;

  // struct virtio_console_control { le32 id; le16 event; le16 value; }
  private static final int HEADER_BYTES = 8;
  private static final int EVENT_SHIFT = Integer.SIZE;
  private static final int VALUE_SHIFT = Integer.SIZE + Short.SIZE;

  private static final int DEVICE_READY = 0;
  private static final int DEVICE_ADD = 1;
  private static final int PORT_READY = 3;
  private static final int CONSOLE_PORT = 4;
  private static final int RESIZE = 5;
  private static final int PORT_OPEN = 6;
  private static final int PORT_NAME = 7;

  /**
   * struct virtio_console_resize { le16 cols; le16 rows; }, which Linux read in the wrong order
   * before 6.15.
   */
  private static final int RESIZE_BYTES = 4;

  private final Port[] ports;
  private final ConsoleContext context;
  private final LiveQueue rx;
  private final LiveQueue tx;
  private boolean deviceReady;

  /**
   * @param rx to the driver
   * @param tx from the driver
   */
  ControlQueues(Port[] ports, LiveQueue rx, LiveQueue tx, ConsoleContext context) {
    this.ports = ports;
    this.rx = rx;
    this.tx = tx;
    this.context = context;
  }

  void interruptIfWanted(QueueSignals signals) {
    rx.interruptIfWanted(signals);
    tx.interruptIfWanted(signals);
  }

  /** Whether it was needless: there is something to do already. */
  boolean asksForNotifications() {
    boolean rxNews = speaker() != null && rx.enableNotifications();
    boolean txNews = tx.enableNotifications();
    return rxNews || txNews;
  }

  // ---- From the driver. ----

  /** Hears what the driver says; returns whether there may be more. */
  boolean hear() {
    tx.disableNotifications();
    for (int n = 0; n < TURN; n++) {
      if (!tx.take()) {
        return false;
      }
      hear(tx.chain());
      tx.complete(0);
    }
    return true;
  }

  private void hear(DescriptorChain chain) {
    if (chain.defect() != null) {
      context.count(ConsoleEvent.ERRORS_DESCRIPTORS);
    } else if (chain.writableBytes() > 0 || chain.readableBytes() < HEADER_BYTES) {
      context.count(ConsoleEvent.ERRORS_MALFORMED);
    } else {
      long header = chain.getLong(0); // Once: the driver may change it meanwhile.
      hear(
          (int) header,
          (int) (header >>> EVENT_SHIFT) & 0xffff,
          (int) (header >>> VALUE_SHIFT) != 0);
    }
  }

  private void hear(int id, int event, boolean value) {
    switch (event) {
      case DEVICE_READY -> deviceReady(value); // Of the device: whatever its id.
      case PORT_READY, PORT_OPEN -> {
        if (id < 0 || id >= ports.length) {
          context.count(ConsoleEvent.ERRORS_PORT);
        } else if (event == PORT_READY) {
          portReady(ports[id], value);
        } else {
          portOpen(ports[id], value);
        }
      }
      default -> context.count(ConsoleEvent.ERRORS_EVENT);
    }
  }

  private void deviceReady(boolean success) {
    if (deviceReady) {
      context.count(ConsoleEvent.ERRORS_SEQUENCE);
    } else if (!success) {
      context.count(ConsoleEvent.DRIVER_FAILURES);
    } else {
      deviceReady = true;
      for (Port port : ports) {
        port.owe(Port.OWES_ADD);
      }
    }
  }

  private void portReady(Port port, boolean success) {
    if (!deviceReady || port.isReady()) {
      context.count(ConsoleEvent.ERRORS_SEQUENCE);
    } else if (!success) {
      context.count(ConsoleEvent.DRIVER_FAILURES);
    } else {
      port.makeReady();
    }
  }

  private void portOpen(Port port, boolean open) {
    if (port.isReady()) {
      port.setOpen(open);
    } else {
      context.count(ConsoleEvent.ERRORS_SEQUENCE);
    }
  }

  // ---- To the driver. ----

  /** Tells the driver what it is owed, as far as it has given buffers. */
  boolean tell() {
    rx.disableNotifications();
    for (int n = 0; n < TURN; n++) {
      Port port = speaker();
      if (port == null || !rx.take()) {
        return false;
      }
      rx.complete(tell(port, rx.chain()));
    }
    return true;
  }

  /** Writes the first of what a port owes; returns its length, 0 if the buffer is of no use. */
  private int tell(Port port, DescriptorChain chain) {
    int message = port.firstOwed();
    int bytes =
        switch (message) {
          case Port.OWES_NAME -> HEADER_BYTES + port.nameBytes().length;
          case Port.OWES_SIZE -> HEADER_BYTES + RESIZE_BYTES;
          default -> HEADER_BYTES;
        };
    if (chain.defect() != null) {
      context.count(ConsoleEvent.ERRORS_DESCRIPTORS);
      return 0;
    }
    if (chain.readableBytes() > 0 || chain.writableBytes() < bytes) {
      context.count(ConsoleEvent.ERRORS_MALFORMED);
      return 0;
    }
    port.pay(message);
    write(port, message, chain);
    return bytes;
  }

  private static void write(Port port, int message, DescriptorChain chain) {
    switch (message) {
      case Port.OWES_ADD -> header(port, chain, DEVICE_ADD, 1);
      case Port.OWES_CONSOLE -> header(port, chain, CONSOLE_PORT, 1);
      case Port.OWES_NAME -> {
        header(port, chain, PORT_NAME, 1);
        chain.write(HEADER_BYTES, port.nameBytes());
      }
      case Port.OWES_SIZE -> {
        header(port, chain, RESIZE, 0);
        ConsoleSize size = port.size();
        chain.putInt(HEADER_BYTES, size.columns() | size.rows() << Short.SIZE);
      }
      case Port.OWES_CLOSED -> header(port, chain, PORT_OPEN, 0);
      case Port.OWES_OPEN -> header(port, chain, PORT_OPEN, 1);
      default -> throw new IllegalStateException("a port owes " + message);
    }
  }

  private static void header(Port port, DescriptorChain chain, int event, int value) {
    chain.putInt(0, port.number());
    chain.putInt(Integer.BYTES, event | value << Short.SIZE);
  }

  private @Nullable Port speaker() {
    for (Port port : ports) {
      if (port.firstOwed() != 0) {
        return port;
      }
    }
    return null;
  }
}

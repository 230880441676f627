package dev.vireo.vmm.virtio.console;

import dev.vireo.vmm.memory.IoVector;
import dev.vireo.vmm.virtio.Activation;
import dev.vireo.vmm.virtio.queue.LiveQueue;
import dev.vireo.vmm.virtio.queue.QueueConnection;
import dev.vireo.vmm.virtio.queue.QueueSignals;
import dev.vireo.vmm.virtio.queue.Virtqueue;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * One activation of a console device: its queues, served one after the other. For one thread at a
 * time, its device sees to that. Nothing in it waits, and neither a message nor a byte makes it
 * allocate.
 */
final class ConsoleService {
  private static final int CONTROL_RX = 2;
  private static final int CONTROL_TX = 3;

  private final Port[] all;
  private final PortQueues[] ports;
  private final IoVector vector;
  private final @Nullable ControlQueues control;
  private final QueueSignals signals;
  private volatile boolean stopping;

  /**
   * @param connections of all the device's queues
   * @param multiport whether the driver knows of more than one port, and of control queues
   */
  ConsoleService(
      Port[] all,
      Activation activation,
      List<QueueConnection> connections,
      boolean multiport,
      IoVector vector,
      ConsoleContext context) {
    this.all = all;
    this.vector = vector;
    this.signals = activation.signals();
    this.ports = new PortQueues[multiport ? all.length : 1];
    for (int number = 0; number < ports.length; number++) {
      ports[number] =
          new PortQueues(
              all[number],
              queue(receiveQueue(number), activation, connections),
              queue(receiveQueue(number) + 1, activation, connections),
              activation.memory(),
              vector,
              context);
    }
    this.control =
        multiport
            ? new ControlQueues(
                all,
                queue(CONTROL_RX, activation, connections),
                queue(CONTROL_TX, activation, connections),
                activation.memory(),
                context)
            : null;
  }

  /** 5.3.2: those of port 0, then the control queues, then those of the other ports. */
  private static int receiveQueue(int port) {
    return port == 0 ? 0 : 2 * port + 2;
  }

  private static @Nullable LiveQueue queue(
      int index, Activation activation, List<QueueConnection> connections) {
    Virtqueue ring = activation.queues().get(index).orElse(null);
    return ring == null ? null : new LiveQueue(ring, connections.get(index));
  }

  /** Goes on until neither side has anything to do that can be done now. */
  void serve() {
    boolean more;
    do {
      for (Port port : all) {
        port.attend(vector);
      }
      more = false;
      if (control != null) {
        more = control.hear();
        more |= control.tell();
        control.interruptIfWanted(signals);
      }
      for (PortQueues port : ports) {
        more |= port.transmit();
        more |= port.deliver();
        port.interruptIfWanted(signals);
      }
      if (!more) {
        more = asksForNotifications();
      }
    } while (more && !stopping);
  }

  private boolean asksForNotifications() {
    boolean news = control != null && control.asksForNotifications();
    for (PortQueues port : ports) {
      news |= port.asksForNotifications();
    }
    return news;
  }

  /** Leaves a queue alone from now on. */
  void stopQueue(int index) {
    boolean receives = index % 2 == 0;
    if (index == CONTROL_RX || index == CONTROL_TX) {
      if (control != null && receives) {
        control.stopReceiving();
      } else if (control != null) {
        control.stopTransmitting();
      }
      return;
    }
    int port = Math.max(0, index / 2 - 1);
    if (port < ports.length && receives) {
      ports[port].stopReceiving();
    } else if (port < ports.length) {
      ports[port].stopTransmitting();
    }
  }

  /** All of it is to be left alone from now on. Any thread may call. */
  void stop() {
    stopping = true;
  }

  /** The driver has to reset the device before it can go on. */
  void needsReset(RuntimeException cause) {
    signals.needsReset(cause);
  }
}

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
  private final LiveQueue[] queues;
  private final PortQueues[] ports;
  private final IoVector vector;
  private final @Nullable ControlQueues control;
  private final QueueSignals signals;

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
    this.queues = new LiveQueue[multiport ? connections.size() : 2];
    for (int i = 0; i < queues.length; i++) {
      queues[i] = new LiveQueue(connections.get(i), activation.memory());
    }
    for (int number = 0; number < ports.length; number++) {
      int rx = receiveQueue(number);
      ports[number] = new PortQueues(all[number], queues[rx], queues[rx + 1], vector, context);
    }
    this.control =
        multiport ? new ControlQueues(all, queues[CONTROL_RX], queues[CONTROL_TX], context) : null;
  }

  /** 5.3.2: those of port 0, then the control queues, then those of the other ports. */
  private static int receiveQueue(int port) {
    return port == 0 ? 0 : 2 * port + 2;
  }

  /**
   * Does some of what can be done now, for all ports and in both directions, and no more than that:
   * a guest that never stops would keep out whoever else has to do with the device.
   *
   * @return whether there may be more
   */
  boolean serve() {
    for (Port port : all) {
      port.attend(vector);
    }
    boolean more = false;
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
    return more || asksForNotifications();
  }

  private boolean asksForNotifications() {
    boolean news = control != null && control.asksForNotifications();
    for (PortQueues port : ports) {
      news |= port.asksForNotifications();
    }
    return news;
  }

  /** A driver without MULTIPORT has the first two queues alone (5.3.2). */
  void startQueue(int index, Virtqueue ring) {
    if (index < queues.length) {
      queues[index].start(ring);
    }
  }

  static boolean isControl(int index) {
    return index == CONTROL_RX || index == CONTROL_TX;
  }

  /** Leaves a queue alone from now on. */
  void stopQueue(int index) {
    if (index < queues.length) {
      queues[index].stop();
    }
  }

  /** The driver has to reset the device before it can go on. */
  void needsReset(Throwable cause) {
    signals.needsReset(cause);
  }
}

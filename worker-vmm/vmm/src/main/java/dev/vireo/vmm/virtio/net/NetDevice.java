package dev.vireo.vmm.virtio.net;

import static java.util.Objects.requireNonNull;

import dev.vireo.catalog.BackEnd;
import dev.vireo.linux.EventFd;
import dev.vireo.vmm.backend.RateLimiter;
import dev.vireo.vmm.backend.Tap;
import dev.vireo.vmm.virtio.Activation;
import dev.vireo.vmm.virtio.EnumCounters;
import dev.vireo.vmm.virtio.VirtioDevice;
import dev.vireo.vmm.virtio.queue.DescriptorChain;
import dev.vireo.vmm.virtio.queue.QueueConnection;
import dev.vireo.vmm.virtio.queue.QueueWorker;
import dev.vireo.vmm.virtio.queue.RequestDescription;
import dev.vireo.vmm.virtio.queue.RequestKind;
import dev.vireo.vmm.virtio.queue.Virtqueue;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.LongSupplier;
import org.jspecify.annotations.Nullable;

/**
 * A virtio-net device on a tap interface (VIRTIO 1.2, section 5.1): pairs of queues for frames, and
 * a control queue. Checksums and segmentation are left to whoever comes last, the host's kernel or
 * the guest's.
 */
public final class NetDevice implements VirtioDevice, ControlRequests.Device {
  private static final String NOT_CONNECTED = "not connected";

  private static final int QUEUE_SIZE = 256;
  private static final int CONTROL_QUEUE_SIZE = 64;

  /** 5.1.2: of a driver that did not negotiate MQ, however many pairs the device has. */
  private static final int CONTROL_QUEUE_WITHOUT_MQ = 2;

  // 5.1.4: struct virtio_net_config { u8 mac[6]; le16 status; le16 max_virtqueue_pairs; le16 mtu; …
  private static final int CONFIG_LENGTH = 12;
  private static final int CONFIG_MAC = 0;
  private static final int MAC_BYTES = 6;
  private static final int CONFIG_STATUS = 6;
  private static final int CONFIG_MAX_PAIRS = 8;
  private static final int CONFIG_MTU = 10;
  private static final byte STATUS_LINK_UP = 1;

  private final String id;
  private final int mtu;
  private final List<Tap> taps;
  private final LongSupplier nanoTime;
  private final RateLimiter receiveLimiter;
  private final RateLimiter transmitLimiter;
  private final byte[] config;
  private final EnumCounters<NetEvent> events = new EnumCounters<>(NetEvent.class);

  private List<QueueConnection> connections = List.of();
  private final List<QueuePair> pairs = new ArrayList<>();
  private @Nullable Link link;
  private @Nullable QueueWorker control;
  private int controlQueue;

  /**
   * @param id the name in the microVM's spec
   * @param mac six bytes
   * @param mtu that the driver is told, 0 for none
   * @param receiveLimiter of what comes to the guest, for all queues together
   * @param transmitLimiter of what the guest sends, likewise
   * @param taps queues of one interface, one for each pair; closed with this device. Only the first
   *     stays attached until the driver wants more
   * @param nanoTime a monotonic clock
   */
  public NetDevice(
      String id,
      byte[] mac,
      int mtu,
      RateLimiter receiveLimiter,
      RateLimiter transmitLimiter,
      List<Tap> taps,
      LongSupplier nanoTime) {
    if (mac.length != MAC_BYTES || taps.isEmpty()) {
      throw new IllegalArgumentException(
          "a MAC address of %d bytes, %d queues".formatted(mac.length, taps.size()));
    }
    this.id = id;
    this.mtu = mtu;
    this.receiveLimiter = receiveLimiter;
    this.transmitLimiter = transmitLimiter;
    this.taps = List.copyOf(taps);
    this.nanoTime = nanoTime;
    this.config =
        ByteBuffer.allocate(CONFIG_LENGTH)
            .order(ByteOrder.LITTLE_ENDIAN)
            .put(CONFIG_MAC, mac)
            .putShort(CONFIG_MAX_PAIRS, (short) taps.size())
            .putShort(CONFIG_MTU, (short) mtu)
            .array();
    for (Tap tap : this.taps.subList(1, this.taps.size())) {
      tap.detach();
    }
  }

  @Override
  public BackEnd backEnd() {
    return BackEnd.NET_TAP;
  }

  @Override
  public String id() {
    return id;
  }

  @Override
  public long features() {
    return Virtqueue.FEATURES
        | RING_RESET
        | NetFeature.OFFLOADS
        | NetFeature.MAC
        | NetFeature.MRG_RXBUF
        | NetFeature.STATUS
        | NetFeature.CTRL_VQ
        | (mtu == 0 ? 0 : NetFeature.MTU)
        | (taps.size() == 1 ? 0 : NetFeature.MQ);
  }

  @Override
  public boolean accepts(long features) {
    return NetFeature.areConsistent(features);
  }

  @Override
  public List<Integer> queueSizes() {
    List<Integer> sizes = new ArrayList<>();
    for (int i = 0; i < 2 * taps.size(); i++) {
      sizes.add(QUEUE_SIZE);
    }
    sizes.add(CONTROL_QUEUE_SIZE);
    return sizes;
  }

  @Override
  public RequestKind requestKind(int queue) {
    if (queue == controlQueue) {
      return RequestKind.CONTROL;
    }
    return queue % 2 == 0 ? RequestKind.RECEIVE : RequestKind.TRANSMIT;
  }

  /** 5.1.6.5: a command's last byte is its answer. */
  @Override
  public void describe(int queue, DescriptorChain chain, RequestDescription description) {
    if (requestKind(queue) == RequestKind.CONTROL && chain.writableBytes() > 0) {
      description.endsInStatus();
    }
  }

  @Override
  public int configLength() {
    return CONFIG_LENGTH;
  }

  @Override
  public byte readConfig(int offset) {
    if (offset == CONFIG_STATUS && link != null) {
      return link.toldUp() ? STATUS_LINK_UP : 0;
    }
    return config[offset];
  }

  @Override
  public void connect(List<QueueConnection> queues) {
    connections = queues;
    List<EventFd> receivers = new ArrayList<>();
    for (int i = 0; i < taps.size(); i++) {
      receivers.add(queues.get(2 * i).notifier());
    }
    Link made = new Link(id, taps.getFirst().isUp(), receivers, events);
    for (int i = 0; i < taps.size(); i++) {
      pairs.add(
          new QueuePair(
              id,
              i,
              taps.get(i),
              receiveLimiter,
              transmitLimiter,
              events,
              queues.get(2 * i),
              queues.get(2 * i + 1),
              made,
              nanoTime));
    }
    link = made;
  }

  @Override
  public void activate(Activation activation) {
    boolean several = activation.has(NetFeature.MQ);
    if (!setGuestOffloads(activation.features())) {
      requireNonNull(link, NOT_CONNECTED).gone("and a driver starts");
    }
    // What waits there was made for another driver, or for none: it may need what this one cannot.
    taps.getFirst().discardFrames();
    controlQueue = several ? 2 * pairs.size() : CONTROL_QUEUE_WITHOUT_MQ;
    activation.startQueues(this);
  }

  @Override
  public void startQueue(int index, Virtqueue queue, Activation activation) {
    int pairsServed = activation.has(NetFeature.MQ) ? pairs.size() : 1;
    if (index < 2 * pairsServed) {
      QueuePair pair = pairs.get(index / 2);
      if (index % 2 == 0) {
        pair.startReceiving(queue, activation);
      } else {
        pair.startTransmitting(queue, activation);
      }
    } else if (index == controlQueue && activation.has(NetFeature.CTRL_VQ)) {
      startControl(queue, activation);
    }
  }

  private void startControl(Virtqueue queue, Activation activation) {
    control = new QueueWorker("net " + id + " control", connections.get(controlQueue));
    control.start(
        queue,
        activation.memory(),
        activation.signals(),
        new ControlRequests(this, activation.features(), events));
  }

  @Override
  public int queuePairs() {
    return pairs.size();
  }

  @Override
  public boolean usePairs(int count) {
    boolean all = true;
    for (int i = 1; i < pairs.size(); i++) {
      all &= pairs.get(i).setEnabled(i < count);
    }
    return all;
  }

  @Override
  public boolean setGuestOffloads(long features) {
    return taps.getFirst().setOffloads(NetFeature.tapOffloads(features));
  }

  @Override
  public void stopQueue(int index) {
    if (control != null && index == controlQueue) {
      closeControl();
    } else if (index < 2 * pairs.size()) {
      QueuePair pair = pairs.get(index / 2);
      if (index % 2 == 0) {
        pair.stopReceiving();
      } else {
        pair.stopTransmitting();
      }
    }
  }

  @Override
  public void deactivate() {
    closeControl(); // First: it might enable a pair.
    pairs.forEach(QueuePair::deactivate);
  }

  private void closeControl() {
    if (control != null) {
      control.close();
      control = null;
    }
  }

  @Override
  public Map<String, String> attributes() {
    return Map.of("mac_address", macAddress(), "tap", taps.getFirst().name());
  }

  private String macAddress() {
    StringBuilder text = new StringBuilder();
    for (int i = CONFIG_MAC; i < CONFIG_MAC + MAC_BYTES; i++) {
      text.append(i == CONFIG_MAC ? "" : ":")
          .append(Character.forDigit(config[i] >> 4 & 0xf, 16))
          .append(Character.forDigit(config[i] & 0xf, 16));
    }
    return text.toString();
  }

  @Override
  public Map<String, Long> counters() {
    Map<String, Long> result = new TreeMap<>();
    events.putInto(result, "");
    return result;
  }

  @Override
  public void close() {
    closeControl();
    pairs.forEach(QueuePair::close);
    taps.forEach(Tap::close);
  }
}

package dev.vireo.vmm.virtio.input;

import static java.util.Objects.requireNonNull;

import dev.vireo.catalog.BackEnd;
import dev.vireo.vmm.virtio.Activation;
import dev.vireo.vmm.virtio.EnumCounters;
import dev.vireo.vmm.virtio.QueueServer;
import dev.vireo.vmm.virtio.ThreadedDevice;
import dev.vireo.vmm.virtio.WorkerQueue;
import dev.vireo.vmm.virtio.queue.DescriptorChain;
import dev.vireo.vmm.virtio.queue.QueueConnection;
import dev.vireo.vmm.virtio.queue.QueueWorker;
import dev.vireo.vmm.virtio.queue.RequestKind;
import dev.vireo.vmm.virtio.queue.Virtqueue;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/**
 * A virtio-input device with one key, the power button, by which a guest is asked to power off.
 * Linux shows it as any keyboard with such a key, to which systemd-logind and acpid listen.
 */
public final class PowerButton extends ThreadedDevice {
  private static final int EVENT_QUEUE = 0;
  private static final int QUEUE_SIZE = 64;

  // 5.8.4: struct virtio_input_config { u8 select, subsel, size, reserved[5]; union { … } u; }
  private static final int CONFIG_SELECT = 0;
  private static final int CONFIG_SUBSELECT = 1;
  private static final int CONFIG_SIZE = 2;
  private static final int CONFIG_DATA = 8;
  private static final int CONFIG_LENGTH = CONFIG_DATA + 128;

  /** What the driver may select to read (5.8.4). */
  private static final int ID_NAME = 0x01;

  private static final int ID_DEVICE = 0x03;
  private static final int EVENT_BITS = 0x11;

  /** Types and codes of events ({@code linux/input-event-codes.h}). */
  private static final int EV_KEY = 1;

  private static final int KEY_POWER = 116;

  private static final byte[] NAME = "Power Button".getBytes(StandardCharsets.US_ASCII);

  /** Bus, vendor, product and version, 16 bits each: the bus is BUS_VIRTUAL. */
  private static final byte[] IDENTITY = {6, 0, 0, 0, 0, 0, 0, 0};

  private static final byte[] KEYS = keys();
  private static final byte[] NOTHING = {};

  private final String id;
  private final EnumCounters<InputEvent> counters = new EnumCounters<>(InputEvent.class);
  private @Nullable EventQueue events;
  // Written by vCPUs, under the transport's lock.
  private int select;
  private int subselect;

  public PowerButton(String id) {
    this.id = id;
  }

  private static byte[] keys() {
    byte[] bitmap = new byte[KEY_POWER / 8 + 1];
    bitmap[KEY_POWER / 8] = 1 << KEY_POWER % 8;
    return bitmap;
  }

  /**
   * Presses and releases it. A guest whose driver is not ready yet hears of it when it is. Any
   * thread may call.
   */
  public void press() {
    requireNonNull(events, "not connected").press();
  }

  @Override
  public BackEnd backEnd() {
    return BackEnd.INPUT_POWER_BUTTON;
  }

  @Override
  public String id() {
    return id;
  }

  @Override
  public long features() {
    return Virtqueue.FEATURES | RING_RESET;
  }

  /** 5.8.2: events to the driver, and status from it. */
  @Override
  public List<Integer> queueSizes() {
    return List.of(QUEUE_SIZE, QUEUE_SIZE);
  }

  @Override
  public RequestKind requestKind(int queue) {
    return queue == EVENT_QUEUE ? RequestKind.EVENT : RequestKind.CONTROL;
  }

  @Override
  public int configLength() {
    return CONFIG_LENGTH;
  }

  /** 5.8.5.2: what is selected and does not exist has size zero. */
  @Override
  public byte readConfig(int offset) {
    byte[] data = selected();
    return switch (offset) {
      case CONFIG_SELECT -> (byte) select;
      case CONFIG_SUBSELECT -> (byte) subselect;
      case CONFIG_SIZE -> (byte) data.length;
      default ->
          offset >= CONFIG_DATA && offset - CONFIG_DATA < data.length
              ? data[offset - CONFIG_DATA]
              : 0;
    };
  }

  private byte[] selected() {
    if (select == EVENT_BITS) {
      return subselect == EV_KEY ? KEYS : NOTHING;
    }
    if (subselect != 0) {
      return NOTHING;
    }
    return switch (select) {
      case ID_NAME -> NAME;
      case ID_DEVICE -> IDENTITY;
      default -> NOTHING;
    };
  }

  @Override
  public boolean writeConfig(int offset, byte value) {
    switch (offset) {
      case CONFIG_SELECT -> select = Byte.toUnsignedInt(value);
      case CONFIG_SUBSELECT -> subselect = Byte.toUnsignedInt(value);
      default -> {
        return false;
      }
    }
    return true;
  }

  /** Events have their thread at once: it may be pressed before there is a driver. */
  @Override
  public void connect(List<QueueConnection> queues) {
    super.connect(queues);
    QueueServer ignored = server(EVENT_QUEUE);
  }

  @Override
  protected QueueServer newServer(int index, QueueConnection connection) {
    if (index == EVENT_QUEUE) {
      EventQueue made = new EventQueue(id, connection, counters);
      events = made;
      return made;
    }
    return new WorkerQueue("status " + id, connection) {
      @Override
      protected QueueWorker.Handler handler(Virtqueue queue, Activation activation) {
        return new IgnoredStatus();
      }
    };
  }

  @Override
  public void activate(Activation activation) {
    select = 0;
    subselect = 0;
    super.activate(activation);
  }

  /** There is nothing that it could set. */
  private final class IgnoredStatus implements QueueWorker.Handler {
    @Override
    public int handle(DescriptorChain chain) {
      counters.increment(InputEvent.STATUS_IGNORED);
      return 0;
    }
  }

  @Override
  public Map<String, Long> counters() {
    Map<String, Long> result = new TreeMap<>();
    counters.putInto(result, "");
    return result;
  }
}

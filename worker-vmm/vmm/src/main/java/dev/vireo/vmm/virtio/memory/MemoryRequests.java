package dev.vireo.vmm.virtio.memory;

import dev.vireo.linux.LinuxException;
import dev.vireo.vmm.memory.HotplugLayout;
import dev.vireo.vmm.memory.HotplugRegion;
import dev.vireo.vmm.virtio.EnumCounters;
import dev.vireo.vmm.virtio.queue.DescriptorChain;
import dev.vireo.vmm.virtio.queue.QueueWorker;
import dev.vireo.vmm.virtio.queue.RequestDescription;
import java.util.function.LongSupplier;

/** Plugs and unplugs blocks as the driver asks (VIRTIO 1.2, section 5.15.6). */
final class MemoryRequests implements QueueWorker.Handler {
  // 5.15.6: struct virtio_mem_req { le16 type; le16 padding[3]; le64 addr; le16 nb_blocks;
  // le16 padding[3]; }
  private static final int REQUEST_BYTES = 24;
  private static final int REQUEST_ADDRESS = 8;
  private static final int REQUEST_BLOCKS = 16;

  // struct virtio_mem_resp { le16 type; le16 padding[3]; le16 state; }
  private static final int RESPONSE_BYTES = 10;
  private static final int RESPONSE_STATE = 8;

  private static final int PLUG = 0;
  private static final int UNPLUG = 1;
  private static final int UNPLUG_ALL = 2;
  private static final int STATE = 3;

  private static final byte ACK = 0;
  private static final byte NACK = 1;
  private static final byte BUSY = 2;
  private static final byte ERROR = 3;

  private static final byte STATE_PLUGGED = 0;
  private static final byte STATE_UNPLUGGED = 1;
  private static final byte STATE_MIXED = 2;

  private static final int NO_BLOCK = -1;

  private final HotplugRegion region;
  private final LongSupplier requestedBytes;
  private final Runnable pluggedChanged;
  private final EnumCounters<MemoryEvent> counters;
  private final byte[] response = new byte[RESPONSE_BYTES];

  /**
   * @param requestedBytes how much is to be plugged at most
   * @param pluggedChanged called before the driver hears of it
   */
  MemoryRequests(
      HotplugRegion region,
      LongSupplier requestedBytes,
      Runnable pluggedChanged,
      EnumCounters<MemoryEvent> counters) {
    this.region = region;
    this.requestedBytes = requestedBytes;
    this.pluggedChanged = pluggedChanged;
    this.counters = counters;
  }

  @Override
  public int handle(DescriptorChain chain) {
    if (chain.defect() != null) {
      counters.increment(MemoryEvent.ERRORS_DESCRIPTORS);
      return 0;
    }
    if (!isWhole(chain)) {
      counters.increment(MemoryEvent.ERRORS_MALFORMED);
      return 0;
    }
    response[RESPONSE_STATE] = 0;
    response[0] = serve(getShort(chain, 0), chain);
    chain.write(0, response);
    return RESPONSE_BYTES;
  }

  private static boolean isWhole(DescriptorChain chain) {
    return chain.readableBytes() >= REQUEST_BYTES && chain.writableBytes() >= RESPONSE_BYTES;
  }

  /** The response begins with its type, of which there are no more than four. */
  static void describe(DescriptorChain chain, RequestDescription description) {
    if (isWhole(chain)) {
      description.statusAt(chain.writableAddress(0));
    }
  }

  private byte serve(int type, DescriptorChain chain) {
    int count = getShort(chain, REQUEST_BLOCKS);
    int first = firstBlock(chain.getLong(REQUEST_ADDRESS), count);
    return switch (type) {
      case PLUG -> {
        counters.increment(MemoryEvent.REQUESTS_PLUG);
        yield first == NO_BLOCK ? noSuchBlocks() : plug(first, count);
      }
      case UNPLUG -> {
        counters.increment(MemoryEvent.REQUESTS_UNPLUG);
        yield first == NO_BLOCK ? noSuchBlocks() : unplug(first, count);
      }
      case UNPLUG_ALL -> {
        counters.increment(MemoryEvent.REQUESTS_UNPLUG_ALL);
        yield unplugAll();
      }
      case STATE -> {
        counters.increment(MemoryEvent.REQUESTS_STATE);
        yield first == NO_BLOCK ? noSuchBlocks() : state(first, count);
      }
      default -> {
        counters.increment(MemoryEvent.ERRORS_UNKNOWN);
        yield ERROR;
      }
    };
  }

  private static int getShort(DescriptorChain chain, long from) {
    return Byte.toUnsignedInt(chain.getByte(from))
        | Byte.toUnsignedInt(chain.getByte(from + 1)) << Byte.SIZE;
  }

  /** The index of the block at an address, if {@code count} blocks are there, and at least one. */
  private int firstBlock(long address, int count) {
    HotplugLayout layout = region.layout();
    long offset = address - layout.base();
    boolean inRegion =
        address >= layout.base()
            && offset < layout.bytes()
            && offset % layout.blockBytes() == 0
            && count > 0
            && count <= (layout.bytes() - offset) / layout.blockBytes();
    return inRegion ? (int) (offset / layout.blockBytes()) : NO_BLOCK;
  }

  private byte noSuchBlocks() {
    counters.increment(MemoryEvent.ERRORS_RANGE);
    return ERROR;
  }

  private byte plug(int first, int count) {
    if (region.countPlugged(first, count) != 0) {
      counters.increment(MemoryEvent.ERRORS_STATE);
      return ERROR;
    }
    long bytes = count * region.layout().blockBytes();
    if (bytes > requestedBytes.getAsLong() - region.pluggedBytes()) {
      counters.increment(MemoryEvent.REFUSED_BEYOND_REQUESTED);
      return NACK;
    }
    try {
      region.plug(first, count);
    } catch (LinuxException e) {
      counters.increment(MemoryEvent.REFUSED_BY_HOST);
      return BUSY;
    }
    counters.add(MemoryEvent.BYTES_PLUGGED, bytes);
    pluggedChanged.run();
    return ACK;
  }

  private byte unplug(int first, int count) {
    if (region.countPlugged(first, count) != count) {
      counters.increment(MemoryEvent.ERRORS_STATE);
      return ERROR;
    }
    long before = region.pluggedBytes();
    return unplugged(before, tryUnplug(first, count));
  }

  private boolean tryUnplug(int first, int count) {
    try {
      region.unplug(first, count);
      return true;
    } catch (LinuxException e) {
      return false;
    }
  }

  private byte unplugAll() {
    long before = region.pluggedBytes();
    return unplugged(before, tryUnplugAll());
  }

  private boolean tryUnplugAll() {
    try {
      region.unplugAll();
      return true;
    } catch (LinuxException e) {
      return false;
    }
  }

  /**
   * @param all whether all that was wanted is unplugged, and not a part
   */
  private byte unplugged(long bytesBefore, boolean all) {
    counters.add(MemoryEvent.BYTES_UNPLUGGED, bytesBefore - region.pluggedBytes());
    pluggedChanged.run();
    if (!all) {
      counters.increment(MemoryEvent.REFUSED_BY_HOST);
    }
    return all ? ACK : BUSY;
  }

  private byte state(int first, int count) {
    int plugged = region.countPlugged(first, count);
    if (plugged == 0) {
      response[RESPONSE_STATE] = STATE_UNPLUGGED;
    } else {
      response[RESPONSE_STATE] = plugged == count ? STATE_PLUGGED : STATE_MIXED;
    }
    return ACK;
  }
}

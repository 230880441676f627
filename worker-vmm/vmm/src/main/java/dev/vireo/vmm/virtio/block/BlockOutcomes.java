package dev.vireo.vmm.virtio.block;

import dev.vireo.linux.Errno;
import dev.vireo.vmm.backend.RawFile;
import dev.vireo.vmm.virtio.EnumCounters;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.atomic.AtomicBoolean;

/**
 * How a disk's requests end: the status that the guest gets (VIRTIO 1.2, section 5.2.6), the
 * counter, and a line in the log the first time that the host is to blame. Any thread may use it.
 */
final class BlockOutcomes {
  static final byte OK = 0;
  static final byte IO_ERROR = 1;
  static final byte UNSUPPORTED = 2;

  private final String id;
  private final DiskLog log;
  private final EnumCounters<BlockEvent> counters = new EnumCounters<>(BlockEvent.class);
  private final AtomicBoolean toldOfNoSpace = new AtomicBoolean();
  private final AtomicBoolean toldOfError = new AtomicBoolean();

  BlockOutcomes(String id, DiskLog log) {
    this.id = id;
    this.log = log;
  }

  void count(BlockEvent event) {
    counters.increment(event);
  }

  /** Adds {@code amount} if that was done. */
  void count(BlockEvent event, long amount, byte status) {
    if (status == OK) {
      counters.add(event, amount);
    }
  }

  /** The guest's own error. */
  byte refuse(BlockEvent reason) {
    counters.increment(reason);
    return IO_ERROR;
  }

  byte unsupported() {
    counters.increment(BlockEvent.REQUESTS_UNSUPPORTED);
    return UNSUPPORTED;
  }

  /**
   * The host's answer.
   *
   * @param error a number of {@link Errno}, or {@link RawFile#OK}
   */
  byte of(int error) {
    return switch (error) {
      case RawFile.OK -> OK;
      case Errno.ENOSPC -> failed(BlockEvent.ERRORS_NO_SPACE, toldOfNoSpace, error);
      default -> failed(BlockEvent.ERRORS_INPUT_OUTPUT, toldOfError, error);
    };
  }

  private byte failed(BlockEvent reason, AtomicBoolean told, int error) {
    counters.increment(reason);
    if (told.compareAndSet(false, true)) {
      log.line(
          "disk " + id + ": " + Errno.describe(error) + "; from now on such errors are counted");
    }
    return IO_ERROR;
  }

  Map<String, Long> counters() {
    Map<String, Long> result = new TreeMap<>();
    counters.putInto(result, "");
    return result;
  }
}

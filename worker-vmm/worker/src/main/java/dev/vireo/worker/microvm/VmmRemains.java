package dev.vireo.worker.microvm;

import dev.vireo.worker.time.Time;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Executor;

/**
 * What the VMMs of a microVM's runs have left on disk. It stays until the microVM's record is
 * written, which may take until a full disk has room again: an exit record alone tells of an end
 * that is not written down. All of it runs in the microVM's mailbox.
 */
final class VmmRemains {
  private static final Duration WRITE_AGAIN = Duration.ofSeconds(1);

  private final RecordFile record;
  private final Time time;
  private final Executor mailbox;
  private final List<Runnable> removals = new ArrayList<>();
  private boolean tryingAgain;
  private boolean recordIsGone;

  VmmRemains(RecordFile record, Time time, Executor mailbox) {
    this.record = record;
    this.time = time;
    this.mailbox = mailbox;
  }

  /** Does this once the record is written. */
  void remove(Runnable removal) {
    removals.add(removal);
    removeIfWritten();
  }

  /** To be called when the record may have been written. */
  void removeIfWritten() {
    if (record.isWritten()) {
      removals.forEach(Runnable::run);
      removals.clear();
    } else if (!removals.isEmpty() && !tryingAgain) {
      tryingAgain = true;
      var _ = time.after(WRITE_AGAIN, () -> mailbox.execute(this::tryAgain));
    }
  }

  /** The microVM has left, and its record with it: another may be written there from now on. */
  void leave() {
    recordIsGone = true;
    removals.forEach(Runnable::run);
    removals.clear();
  }

  private void tryAgain() {
    tryingAgain = false;
    if (recordIsGone) {
      return;
    }
    record.save(record.edit());
    removeIfWritten();
  }
}

package dev.vireo.controller.leader;

import dev.vireo.controller.store.Store;
import dev.vireo.controller.time.TimeSource;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import org.jspecify.annotations.Nullable;

/**
 * Who leads: this controller, another one, or nobody now. A controller whose lease may have ended
 * does not lead, whether it has noticed or not.
 */
public final class Leadership {
  private static final Term FOR_GOOD = new Term(0, 0);

  private final TimeSource time;
  private final boolean sole;
  private final List<Listener> listeners = new CopyOnWriteArrayList<>();
  private final ReentrantLock lock = new ReentrantLock();
  private final Condition changed = lock.newCondition();
  private volatile @Nullable Term term;
  private volatile Optional<String> other = Optional.empty();

  /** Deposed, and the store has not said yet what came after. */
  private volatile boolean uninformed;

  /**
   * This controller's time.
   *
   * @param fence the version of the leader's key, which is this term's alone
   * @param endNanos when others may take over
   */
  private record Term(long fence, long endNanos) {}

  /** Is told of terms. */
  public interface Listener {
    /**
     * This controller is about to lead: all that former leaders have written is in the images. On
     * the election's thread.
     */
    default void elected() {}

    /** It leads no more. On the election's thread. */
    default void deposed() {}

    /** Another leads, at this address; or none other does. On the store's thread. */
    default void followed(Optional<String> address) {}
  }

  private Leadership(TimeSource time, boolean sole) {
    this.time = time;
    this.sole = sole;
    this.term = sole ? FOR_GOOD : null;
  }

  /** Of the only controller there is: it leads, and nothing is asked. */
  public static Leadership sole(TimeSource time) {
    return new Leadership(time, true);
  }

  /** Of one of several, which does not lead before it is elected. */
  public static Leadership elected(TimeSource time) {
    return new Leadership(time, false);
  }

  public void listen(Listener listener) {
    listeners.add(listener);
  }

  /** Whether this controller leads. */
  public boolean leads() {
    Term now = term;
    return now != null && (sole || time.nanoTime() - now.endNanos < 0);
  }

  /** Where the other controller is reached that leads, if one does. */
  public Optional<String> leader() {
    return other;
  }

  /**
   * Whether this controller has led, and knows no more than that it leads no more: it may be cut
   * off from the store, and then others know who leads long before it does.
   */
  public boolean isUninformed() {
    return uninformed;
  }

  /** The store as only the leader writes to it. */
  public Store fence(Store store) {
    return sole ? store : new FencedStore(store, this);
  }

  /** What the leader's key must be at for a commit of this term; empty: not this one's to write. */
  OptionalLong fence() {
    Term now = term;
    return now != null && leads() ? OptionalLong.of(now.fence) : OptionalLong.empty();
  }

  /**
   * Waits until somebody leads, this controller or another.
   *
   * @param shunned an address that did not answer; another is waited for, while there is time
   */
  public void await(Optional<String> shunned, Duration patience) throws InterruptedException {
    lock.lockInterruptibly();
    try {
      long left = patience.toNanos();
      while (!leads() && (other.isEmpty() || other.equals(shunned)) && left > 0) {
        left = time.await(lock, changed, left);
      }
    } finally {
      lock.unlock();
    }
  }

  // ---- by the election

  void elect(long fence, long endNanos) {
    uninformed = false;
    listeners.forEach(Listener::elected);
    become(new Term(fence, endNanos));
  }

  /**
   * The lease was kept alive. A term that was over by then is over: that it was has been acted on.
   */
  void prolong(long endNanos) {
    lock.lock();
    try {
      Term now = term;
      if (now != null && leads() && endNanos - now.endNanos > 0) {
        term = new Term(now.fence, endNanos);
      }
    } finally {
      lock.unlock();
    }
  }

  /**
   * @param inform whether the store has still to say that the term is over
   */
  void depose(boolean inform) {
    uninformed = inform;
    become(null);
    listeners.forEach(Listener::deposed);
  }

  /** Another leads, at this address; or nobody else does. */
  void follow(Optional<String> address) {
    lock.lock();
    try {
      other = address;
      uninformed = false;
      changed.signalAll();
    } finally {
      lock.unlock();
    }
    listeners.forEach(listener -> listener.followed(address));
  }

  private void become(@Nullable Term next) {
    lock.lock();
    try {
      term = next;
      changed.signalAll();
    } finally {
      lock.unlock();
    }
  }
}

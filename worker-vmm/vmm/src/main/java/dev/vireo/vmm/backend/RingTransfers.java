package dev.vireo.vmm.backend;

import dev.vireo.linux.Errno;
import dev.vireo.linux.IoUring;
import dev.vireo.linux.MemoryMapping;
import dev.vireo.vmm.memory.GuestMemory;
import dev.vireo.vmm.memory.IoVector;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * Transfers of a file that are under way at once, by io_uring. Each has the slot that was {@link
 * #next} until {@link #release}, and a vector that stays as it is meanwhile. What the kernel did in
 * part goes on by itself. For one thread, apart from making it.
 *
 * <p>The guest says how many there are and of how many buffers, so what they take is bounded, and
 * it is not of the heap, which is small: all vectors are in one mapping, of which only what was
 * used is taken from the host. Each slot has room there for {@link #FEW} buffers, and those of a
 * transfer that has more are in one of {@link #MOST_LARGE} larger places. While these are all in
 * use, no other transfer may begin. Of 256 slots that is {@code 256 × 16 + 16 × 256} ranges of 16
 * bytes, 128 KiB, and 34 MiB for 16 disks of 16 queues, with what else is known of a slot: much
 * less than a VMM is given for itself. And 16 transfers of 17 buffers, mostly pages, are as much as
 * a disk wants to have queued.
 */
public final class RingTransfers implements AutoCloseable {
  /** No result yet. */
  public static final int PENDING = -1;

  /** Buffers of a transfer for which there is always room. */
  static final int FEW = 16;

  /** Transfers of more buffers than that under way at once. */
  static final int MOST_LARGE = 16;

  // What is known of a slot's transfer: where the rest of its vector is, how many ranges and bytes
  // it has, and where in the file it goes.
  private static final int STATE_BYTES = 32;
  private static final int STATE_PLACE = 0;
  private static final int STATE_COUNT = 4;
  private static final int STATE_LEFT = 8;
  private static final int STATE_POSITION = 16;

  private enum Kind {
    READ,
    WRITE,
    DURABLE_WRITE,
    FLUSH
  }

  private final RawFile file;
  private final IoUring ring;
  private final int[] free;
  private int freeCount;
  private final int[] freeLarge = new int[MOST_LARGE];
  private int freeLargeCount = MOST_LARGE;
  private final Kind[] kinds;
  private final MemoryMapping mapping;
  private final MemorySegment states;
  private final IoVector vector;

  /**
   * @param slots transfers at once, and buffers that one of them has at most
   */
  public RingTransfers(RawFile file, IoUring ring, GuestMemory memory, int slots) {
    this.file = file;
    this.ring = ring;
    this.free = new int[slots];
    this.kinds = new Kind[slots];
    this.mapping = MemoryMapping.anonymous(bytes(slots));
    this.states = mapping.segment().asSlice(0, (long) STATE_BYTES * slots);
    this.vector = new IoVector(memory, mapping.segment().asSlice(states.byteSize()));
    for (int i = 0; i < slots; i++) {
      free[i] = slots - 1 - i;
    }
    freeCount = slots;
    for (int i = 0; i < MOST_LARGE; i++) {
      freeLarge[i] = slots * FEW + (MOST_LARGE - 1 - i) * slots;
    }
  }

  /** Memory that so many slots take, if all of it is used. */
  static long bytes(int slots) {
    return (long) STATE_BYTES * slots + IoVector.arrayBytes(slots * FEW + MOST_LARGE * slots);
  }

  /** How many are under way. */
  public int underWay() {
    return free.length - freeCount;
  }

  /** Whether another may begin, of however many buffers. If not, one that ends makes room. */
  public boolean mayBegin() {
    return freeLargeCount > 0;
  }

  /**
   * The slot of the next transfer; there must be one. It is taken by a transfer that has begun, and
   * by none that could not.
   */
  public int next() {
    return free[freeCount - 1];
  }

  /**
   * The buffers of the next transfer, to be filled before that begins: none yet, and room for so
   * many. Good until then.
   *
   * @param slot {@link #next}
   */
  public IoVector emptyVector(int slot, int buffers) {
    if (buffers <= FEW) {
      vector.begin(slot * FEW, FEW);
    } else {
      vector.begin(freeLarge[freeLargeCount - 1], free.length);
    }
    return vector;
  }

  private boolean isLarge(int slot) {
    return kinds[slot] != Kind.FLUSH && state(slot, STATE_PLACE) >= free.length * FEW;
  }

  private int state(int slot, int field) {
    return states.get(ValueLayout.JAVA_INT, (long) slot * STATE_BYTES + field);
  }

  private void state(int slot, int field, int value) {
    states.set(ValueLayout.JAVA_INT, (long) slot * STATE_BYTES + field, value);
  }

  private long longState(int slot, int field) {
    return states.get(ValueLayout.JAVA_LONG, (long) slot * STATE_BYTES + field);
  }

  private void longState(int slot, int field, long value) {
    states.set(ValueLayout.JAVA_LONG, (long) slot * STATE_BYTES + field, value);
  }

  /** Begins to read into the slot's vector. */
  public void read(int slot, long offset) {
    transfer(slot, Kind.READ, offset);
  }

  /** Begins to write the slot's vector. */
  public void write(int slot, long offset, boolean durable) {
    transfer(slot, durable ? Kind.DURABLE_WRITE : Kind.WRITE, offset);
  }

  /** Begins to make durable what was written: writes whose results are there. */
  public void flush(int slot) {
    transfer(slot, Kind.FLUSH, 0);
  }

  private void transfer(int slot, Kind kind, long offset) {
    kinds[slot] = kind;
    prepare(slot, offset);
    freeCount--;
    if (isLarge(slot)) {
      freeLargeCount--;
    }
  }

  /** With the slot's vector, if it needs one. */
  private void prepare(int slot, long position) {
    switch (kinds[slot]) {
      case READ -> prepareRead(slot, position);
      case WRITE -> prepareWrite(slot, position, 0);
      case DURABLE_WRITE -> prepareWrite(slot, position, IoUring.DURABLE);
      case FLUSH -> ring.syncData(file.number(), slot);
    }
  }

  private void prepareRead(int slot, long position) {
    remember(slot, position);
    int number = file.number(vector, position);
    if (vector.count() == 1) {
      ring.read(number, vector.firstAddress(), vector.firstLength(), position, slot);
    } else {
      ring.readv(number, vector.address(), vector.count(), position, slot);
    }
  }

  private void prepareWrite(int slot, long position, int flags) {
    remember(slot, position);
    int number = file.number(vector, position);
    if (vector.count() == 1) {
      ring.write(number, vector.firstAddress(), vector.firstLength(), position, flags, slot);
    } else {
      ring.writev(number, vector.address(), vector.count(), position, flags, slot);
    }
  }

  /** There may be others before it goes on. */
  private void remember(int slot, long position) {
    state(slot, STATE_PLACE, vector.place());
    state(slot, STATE_COUNT, vector.count());
    longState(slot, STATE_LEFT, vector.bytes());
    longState(slot, STATE_POSITION, position);
  }

  private void goOn(int slot, long done) {
    if (kinds[slot] == Kind.FLUSH) {
      prepare(slot, 0);
    } else {
      vector.resume(state(slot, STATE_PLACE), state(slot, STATE_COUNT));
      vector.skip(done);
      prepare(slot, longState(slot, STATE_POSITION) + done);
    }
  }

  /**
   * Takes a result of the ring's.
   *
   * @return {@link RawFile#OK} or an error number if the slot's transfer has ended, {@link
   *     #PENDING} if it goes on
   */
  public int take(int slot, int result) {
    if (result == -Errno.EINTR || result == -Errno.EAGAIN) {
      goOn(slot, 0);
      return PENDING;
    }
    if (result < 0) {
      return -result;
    }
    if (kinds[slot] == Kind.FLUSH) {
      return RawFile.OK;
    }
    if (result == 0) { // The file ended too soon.
      return Errno.EIO;
    }
    if (result == longState(slot, STATE_LEFT)) {
      return RawFile.OK;
    }
    goOn(slot, result);
    return PENDING;
  }

  /** The slot is free again. */
  public void release(int slot) {
    free[freeCount++] = slot;
    if (isLarge(slot)) {
      freeLarge[freeLargeCount++] = largePlace(slot);
    }
  }

  /** Where its vector began: what has been transferred of it is at the front. */
  private int largePlace(int slot) {
    int place = state(slot, STATE_PLACE);
    return place - place % free.length;
  }

  /** Nothing may be under way. */
  @Override
  public void close() {
    mapping.close();
  }
}

package dev.vireo.vmm.backend;

import static java.util.Objects.requireNonNull;

import dev.vireo.linux.Errno;
import dev.vireo.linux.IoUring;
import dev.vireo.vmm.memory.GuestMemory;
import dev.vireo.vmm.memory.IoVector;
import java.lang.foreign.Arena;
import org.jspecify.annotations.Nullable;

/**
 * Transfers of a file that are under way at once, by io_uring. Each has the slot that was {@link
 * #next} until {@link #release}, and a vector that stays as it is meanwhile. What the kernel did in
 * part goes on by itself. For one thread, apart from making it.
 */
public final class RingTransfers implements AutoCloseable {
  /** No result yet. */
  public static final int PENDING = -1;

  private enum Kind {
    READ,
    WRITE,
    DURABLE_WRITE,
    FLUSH
  }

  private final RawFile file;
  private final IoUring ring;
  private final GuestMemory memory;
  private final int[] free;
  private int freeCount;
  private final @Nullable IoVector[] vectors;
  private final Kind[] kinds;
  private final long[] positions;
  private @Nullable Arena arena;

  /**
   * @param slots transfers at once
   */
  public RingTransfers(RawFile file, IoUring ring, GuestMemory memory, int slots) {
    this.file = file;
    this.ring = ring;
    this.memory = memory;
    this.free = new int[slots];
    this.vectors = new IoVector[slots];
    this.kinds = new Kind[slots];
    this.positions = new long[slots];
    for (int i = 0; i < slots; i++) {
      free[i] = slots - 1 - i;
    }
    freeCount = slots;
  }

  /** How many are under way. */
  public int underWay() {
    return free.length - freeCount;
  }

  /**
   * The slot of the next transfer; there must be one. It is taken by a transfer that has begun, and
   * by none that could not.
   */
  public int next() {
    return free[freeCount - 1];
  }

  /**
   * The slot's buffers, to be filled before the transfer begins: none yet, and room for so many. No
   * larger than needed, since there may be thousands.
   */
  public IoVector emptyVector(int slot, int buffers) {
    IoVector vector = vectors[slot];
    if (vector != null) {
      vector.clear();
    }
    if (vector == null || vector.room() < buffers) {
      vector = new IoVector(memory, capacity(buffers), arena());
      vectors[slot] = vector;
    }
    return vector;
  }

  /** A power of two, so that all that a slot ever had take no more than twice its largest. */
  private static int capacity(int buffers) {
    return buffers <= 1 ? 1 : Integer.highestOneBit(buffers - 1) << 1;
  }

  private Arena arena() {
    if (arena == null) {
      arena = Arena.ofConfined();
    }
    return arena;
  }

  private IoVector vector(int slot) {
    return requireNonNull(vectors[slot], "a transfer without buffers");
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
    positions[slot] = offset;
    goOn(slot);
    freeCount--;
  }

  private void goOn(int slot) {
    switch (kinds[slot]) {
      case READ -> read(slot);
      case WRITE -> write(slot, 0);
      case DURABLE_WRITE -> write(slot, IoUring.DURABLE);
      case FLUSH -> ring.syncData(file.number(), slot);
    }
  }

  private void read(int slot) {
    long position = positions[slot];
    IoVector vector = vector(slot);
    int number = file.number(vector, position);
    if (vector.count() == 1) {
      ring.read(number, vector.firstAddress(), vector.firstLength(), position, slot);
    } else {
      ring.readv(number, vector.address(), vector.count(), position, slot);
    }
  }

  private void write(int slot, int flags) {
    long position = positions[slot];
    IoVector vector = vector(slot);
    int number = file.number(vector, position);
    if (vector.count() == 1) {
      ring.write(number, vector.firstAddress(), vector.firstLength(), position, flags, slot);
    } else {
      ring.writev(number, vector.address(), vector.count(), position, flags, slot);
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
      goOn(slot);
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
    IoVector vector = vector(slot);
    vector.skip(result);
    if (vector.bytes() == 0) {
      return RawFile.OK;
    }
    positions[slot] += result;
    goOn(slot);
    return PENDING;
  }

  /** The slot is free again. */
  public void release(int slot) {
    free[freeCount++] = slot;
  }

  /** Nothing may be under way. */
  @Override
  public void close() {
    if (arena != null) {
      arena.close();
      arena = null;
    }
  }
}

package dev.vireo.stress;

import dev.vireo.vmm.memory.GuestMemory;
import dev.vireo.vmm.virtio.queue.DescriptorChain;
import dev.vireo.vmm.virtio.queue.QueueSetup;
import dev.vireo.vmm.virtio.queue.Virtqueue;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.VarHandle;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;

/**
 * A small split virtqueue with event indices: the device's {@link Virtqueue}, and the driver's side
 * as Linux's virtio_ring.c has it (store, barrier, look at the other's event index).
 */
public final class Ring {
  private static final int SIZE = 4;
  private static final int BYTES = 512;
  private static final long DESCRIPTORS = 0;
  private static final long AVAILABLE = 128;
  private static final long AVAILABLE_INDEX = AVAILABLE + 2;
  private static final long USED_EVENT = AVAILABLE + 4 + 2 * SIZE;
  private static final long USED = 256;
  private static final long USED_INDEX = USED + 2;
  private static final long AVAILABLE_EVENT = USED + 4 + 8 * SIZE;

  /** More than are ever alive at once: JCStress makes thousands of states ahead. */
  private static final int SLICES = 1 << 17;

  private static final MemorySegment ALL = Arena.global().allocate((long) SLICES * BYTES, 4096);
  private static final AtomicInteger NEXT_SLICE = new AtomicInteger();

  private final GuestMemory memory;
  private final Virtqueue device;
  private final DescriptorChain chain;

  public Ring() {
    int slice = NEXT_SLICE.getAndIncrement() & (SLICES - 1);
    MemorySegment segment = ALL.asSlice((long) slice * BYTES, BYTES).fill((byte) 0);
    this.memory = new GuestMemory(List.of(new GuestMemory.Region(0, segment)));
    QueueSetup setup = new QueueSetup(SIZE, DESCRIPTORS, AVAILABLE, USED);
    this.device = new Virtqueue(memory, setup, Virtqueue.EVENT_IDX);
    this.chain = new DescriptorChain(memory, SIZE);
  }

  public GuestMemory memory() {
    return memory;
  }

  /** The device's side. */
  public Virtqueue device() {
    return device;
  }

  /** Takes a chain, and returns the length of its one buffer; 0 if there is none. */
  public int pop() {
    return device.pop(chain) ? (int) chain.readableBytes() : 0;
  }

  /** Returns the chain that was taken last. */
  public void complete(int written) {
    device.complete(chain, written);
  }

  /** The driver's: makes a buffer of {@code length} bytes available as the chain {@code number}. */
  public void offer(int number, int length) {
    int head = number & (SIZE - 1);
    memory.putLong(DESCRIPTORS + 16L * head, DESCRIPTORS);
    memory.putInt(DESCRIPTORS + 16L * head + 8, length);
    memory.putShort(AVAILABLE + 4 + 2L * head, (short) head);
    memory.putShortRelease(AVAILABLE_INDEX, (short) (number + 1));
  }

  /** The driver's: whether it has to notify of the chain {@code number}, just offered. */
  public boolean notificationNeeded(int number) {
    VarHandle.fullFence();
    return notificationNeededWithoutBarrier(number);
  }

  /** As above by a driver that forgets the barrier. */
  public boolean notificationNeededWithoutBarrier(int number) {
    return memory.getShort(AVAILABLE_EVENT) == (short) number;
  }

  /** The driver's: asks for an interrupt for the next chain after {@code seen} returned ones. */
  public void enableInterrupt(int seen) {
    memory.putShort(USED_EVENT, (short) seen);
    VarHandle.fullFence();
  }

  /** The driver's: how many chains were returned. */
  public int used() {
    return memory.getShortAcquire(USED_INDEX);
  }

  /** The driver's: the bytes written into the chain that was returned as number {@code number}. */
  public int writtenOf(int number) {
    return memory.getInt(USED + 4 + 8L * (number & (SIZE - 1)) + 4);
  }

  /** What {@link Virtqueue#interruptWanted} would say if it had no fence. */
  public boolean interruptWantedWithoutBarrier(int number) {
    return memory.getShort(USED_EVENT) == (short) number;
  }

  /** What {@link Virtqueue#enableNotifications} would say if it had no fence. */
  public boolean enableNotificationsWithoutBarrier(int next) {
    memory.putShort(AVAILABLE_EVENT, (short) next);
    return memory.getShortAcquire(AVAILABLE_INDEX) != (short) next;
  }
}

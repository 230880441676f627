package dev.vireo.vmm.virtio.queue;

import static dev.vireo.vmm.virtio.queue.GuestRing.BUFFERS;
import static dev.vireo.vmm.virtio.queue.GuestRing.HIGH_RAM;
import static dev.vireo.vmm.virtio.queue.GuestRing.HIGH_RAM_END;
import static dev.vireo.vmm.virtio.queue.GuestRing.INDIRECT;
import static dev.vireo.vmm.virtio.queue.GuestRing.NEXT;
import static dev.vireo.vmm.virtio.queue.GuestRing.RAM_END;
import static dev.vireo.vmm.virtio.queue.GuestRing.WRITE;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.sun.management.ThreadMXBean;
import dev.vireo.vmm.memory.IoVector;
import dev.vireo.vmm.virtio.queue.VirtqueueException.Fault;
import java.lang.foreign.MemorySegment;
import java.lang.management.ManagementFactory;
import java.util.concurrent.atomic.AtomicBoolean;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Nested;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class VirtqueueTest {
  private static final int SIZE = 8;
  private static final long TABLE = 0x8000;

  private final GuestRing ring = new GuestRing(SIZE);
  private final DescriptorChain chain = new DescriptorChain(ring.memory(), SIZE);

  private Virtqueue queue() {
    return new Virtqueue(ring.memory(), ring.setup(), Virtqueue.FEATURES);
  }

  private Virtqueue queueWithout(long feature) {
    return new Virtqueue(ring.memory(), ring.setup(), Virtqueue.FEATURES & ~feature);
  }

  private void assertFault(Fault fault, Virtqueue queue) {
    assertEquals(fault, assertThrows(VirtqueueException.class, () -> queue.pop(chain)).fault());
  }

  private void assertDefect(ChainDefect defect) {
    Virtqueue queue = queue();
    assertTrue(queue.pop(chain));
    assertEquals(defect, chain.defect());
    queue.complete(chain, 0);
    assertEquals(new GuestRing.Used(chain.head(), 0), ring.takeUsed(), "its head is returned");
  }

  @Nested
  class AChain {
    @Test
    void comesInTheOrderItWasOffered() {
      ring.descriptor(3, BUFFERS, 16, 0, 0).descriptor(5, BUFFERS, 32, WRITE, 0);
      ring.offer(5).offer(3);
      Virtqueue queue = queue();
      assertTrue(queue.pop(chain));
      assertEquals(5, chain.head());
      assertTrue(queue.pop(chain));
      assertEquals(3, chain.head());
      assertFalse(queue.pop(chain));
    }

    @Test
    void isNotThereBeforeItIsOffered() {
      assertFalse(queue().pop(chain));
    }

    @Test
    void hasItsReadableBytesAndThenItsWritableOnes() {
      ring.descriptor(0, BUFFERS, 16, NEXT, 4)
          .descriptor(4, BUFFERS + 0x100, 100, NEXT | WRITE, 2)
          .descriptor(2, BUFFERS + 0x200, 1, WRITE, 0)
          .offer(0);
      assertTrue(queue().pop(chain));
      assertNull(chain.defect());
      assertEquals(3, chain.count());
      assertEquals(16, chain.readableBytes());
      assertEquals(101, chain.writableBytes());
    }

    @Test
    void isReadAndWrittenAcrossBuffersWhereverTheDriverCutIt() {
      ring.memory().write(BUFFERS, new byte[] {0, 1, 2});
      ring.memory().write(BUFFERS + 0x100, new byte[] {3});
      ring.memory().write(BUFFERS + 0x200, new byte[] {4, 5, 6, 7, 8});
      ring.descriptor(0, BUFFERS, 3, NEXT, 1)
          .descriptor(1, BUFFERS + 0x100, 1, NEXT, 2)
          .descriptor(2, BUFFERS + 0x200, 5, NEXT, 3)
          .descriptor(3, BUFFERS + 0x300, 1, NEXT | WRITE, 4)
          .descriptor(4, HIGH_RAM, 2, WRITE, 0)
          .offer(0);
      assertTrue(queue().pop(chain));

      assertEquals(0x0807_0605_0403_0201L, chain.getLong(1));
      assertEquals(0x0403_0201, chain.getInt(1));
      assertEquals(0x0807_0605, chain.getInt(5));
      chain.write(0, new byte[] {11, 12});
      assertTrue(chain.writeLast((byte) 13));
      assertEquals(11, ring.memory().getByte(BUFFERS + 0x300));
      assertEquals(0x0d0c, ring.memory().getShort(HIGH_RAM));

      IoVector vector = new IoVector(ring.memory(), SIZE);
      chain.gatherReadable(2, 5, vector);
      assertEquals(3, vector.count());
      assertEquals(5, vector.bytes());
      assertEquals(ring.memory().hostAddress(BUFFERS + 2, 1), vector.firstAddress());
      assertEquals(1, vector.firstLength());
    }

    @Test
    void refusesAccessBeyondItsBytes() {
      ring.descriptor(0, BUFFERS, 4, NEXT, 1).descriptor(1, BUFFERS, 4, WRITE, 0).offer(0);
      assertTrue(queue().pop(chain));
      IoVector vector = new IoVector(ring.memory(), SIZE);
      assertThrows(IndexOutOfBoundsException.class, () -> chain.getInt(1));
      assertThrows(IndexOutOfBoundsException.class, () -> chain.getInt(-1));
      assertThrows(IndexOutOfBoundsException.class, () -> chain.getLong(0));
      assertThrows(IndexOutOfBoundsException.class, () -> chain.write(1, new byte[4]));
      assertThrows(IndexOutOfBoundsException.class, () -> chain.gatherReadable(0, 5, vector));
      assertThrows(IndexOutOfBoundsException.class, () -> chain.gatherWritable(-1, 2, vector));
      assertThrows(
          IndexOutOfBoundsException.class, () -> chain.gatherWritable(1, Long.MAX_VALUE, vector));
    }

    @Test
    void mayHaveAsManyBuffersAsTheQueueHasEntries() {
      for (int i = 0; i < SIZE; i++) {
        ring.descriptor(i, BUFFERS, 1, i < SIZE - 1 ? NEXT : 0, i + 1);
      }
      ring.offer(0);
      assertTrue(queue().pop(chain));
      assertEquals(SIZE, chain.count());
    }

    @Test
    void mayEndExactlyAtTheEndOfRam() {
      ring.descriptor(0, RAM_END - 512, 512, NEXT, 1)
          .descriptor(1, HIGH_RAM_END - 1, 1, WRITE, 0)
          .offer(0);
      assertTrue(queue().pop(chain));
      assertNull(chain.defect());
    }

    @Test
    void mayPointAtItsOwnRing() {
      ring.descriptor(0, ring.setup().usedRing(), 16, WRITE, 0).offer(0);
      assertTrue(queue().pop(chain));
      assertNull(chain.defect());
    }

    @Test
    void keepsWhatWasReadWhenTheDriverChangesItsDescriptors() {
      ring.descriptor(0, BUFFERS, 16, NEXT, 1).descriptor(1, BUFFERS, 512, WRITE, 0).offer(0);
      assertTrue(queue().pop(chain));
      ring.descriptor(0, -1, -1, NEXT, 0).descriptor(1, -1, -1, INDIRECT, 0);
      assertEquals(16, chain.readableBytes());
      assertEquals(512, chain.writableBytes());
      assertEquals(0, chain.getLong(8));
      chain.write(0, new byte[512]);
    }

    /** A second read of a field that was checked would let one of these values through. */
    @Test
    void readsEachDescriptorOnceWhileTheDriverChangesIt() throws InterruptedException {
      ring.descriptor(0, BUFFERS, 16, 0, 0);
      Thread hostile =
          Thread.ofPlatform()
              .start(() -> {
                while (!Thread.interrupted()) {
                  ring.descriptor(0, RAM_END - 8, 8, 0, 0);
                  ring.descriptor(0, RAM_END, 4096, 0, 0);
                  ring.descriptor(0, BUFFERS, 16, 0, 0);
                }
              });
      Virtqueue queue = queue();
      for (int i = 0; i < 20_000; i++) {
        ring.offer(0);
        assertTrue(queue.pop(chain));
        if (chain.defect() == null && chain.readableBytes() >= 8) {
          assertEquals(0, chain.getLong(0)); // throws if it is not inside memory
        }
        queue.complete(chain, 0);
      }
      hostile.interrupt();
      hostile.join();
    }
  }

  @Nested
  class AChainOfPieces {
    @BeforeEach
    void pop() {
      ring.descriptor(0, BUFFERS, 2, NEXT, 1)
          .descriptor(1, BUFFERS + 0x100, 10, WRITE | NEXT, 2)
          .descriptor(2, BUFFERS + 0x200, 1, WRITE | NEXT, 3)
          .descriptor(3, BUFFERS + 0x300, 20, WRITE, 0)
          .offer(0);
      assertTrue(queue().pop(chain));
    }

    @Test
    void isReadByteByByte() {
      ring.memory().putByte(BUFFERS + 1, (byte) 0x5a);
      assertEquals(0x5a, chain.getByte(1));
      assertThrows(IndexOutOfBoundsException.class, () -> chain.getByte(2));
    }

    @Test
    void isWrittenWhereverItIsCut() {
      byte[] source = new byte[20];
      for (int i = 0; i < source.length; i++) {
        source[i] = (byte) (i + 1);
      }
      chain.write(5, MemorySegment.ofArray(source));
      byte[] first = new byte[11];
      ring.memory().read(BUFFERS + 0x100, first);
      assertArrayEquals(new byte[] {0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 0}, first);
      assertEquals(6, ring.memory().getByte(BUFFERS + 0x200));
      byte[] last = new byte[15];
      ring.memory().read(BUFFERS + 0x300, last);
      assertArrayEquals(new byte[] {7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 0}, last);
      assertThrows(
          IndexOutOfBoundsException.class, () -> chain.write(12, MemorySegment.ofArray(source)));
    }

    @Test
    void tellsWhereItsBytesAre() {
      assertEquals(BUFFERS + 0x100, chain.writableAddress(0));
      assertEquals(BUFFERS + 0x109, chain.writableAddress(9));
      assertEquals(BUFFERS + 0x200, chain.writableAddress(10));
      assertEquals(BUFFERS + 0x300, chain.writableAddress(11));
      assertThrows(IndexOutOfBoundsException.class, () -> chain.writableAddress(31));
    }
  }

  @Nested
  class AChainWithADefectIsReturned {
    @Test
    void emptyBuffer() {
      ring.descriptor(0, BUFFERS, 0, 0, 0).offer(0);
      assertDefect(ChainDefect.EMPTY_BUFFER);
    }

    @ParameterizedTest
    @CsvSource({
      "0x100000, 1", // just after the end
      "0xffe01, 512", // over the end by one
      "0xd0000000, 4", // on a device's registers
      "0xffffffff, 2", // from the hole into high memory
      "0xfffff, 0xfff00002", // from low memory over the hole into high memory
      "-512, 1024", // address + length overflows 64 bits
      "0x7fffffffffffffff, 0xffffffff", // and 63
    })
    void bufferOutsideMemory(String address, String length) {
      ring.descriptor(0, Long.decode(address), Long.decode(length), WRITE, 0).offer(0);
      assertDefect(ChainDefect.BUFFER_OUTSIDE_MEMORY);
      assertFalse(chain.writeLast((byte) 1));
    }

    @Test
    void readableAfterWritable() {
      ring.descriptor(0, BUFFERS, 16, WRITE | NEXT, 1)
          .descriptor(1, BUFFERS, 16, NEXT, 2)
          .descriptor(2, BUFFERS + 0x100, 1, WRITE, 0)
          .offer(0);
      assertDefect(ChainDefect.READABLE_AFTER_WRITABLE);
      assertTrue(chain.writeLast((byte) 7), "its last buffer is sound");
      assertEquals(7, ring.memory().getByte(BUFFERS + 0x100));
    }

    @Test
    void lastBufferReadableHasNoRoomForAStatus() {
      ring.descriptor(0, BUFFERS, 16, WRITE | NEXT, 1).descriptor(1, BUFFERS, 16, 0, 0).offer(0);
      assertDefect(ChainDefect.READABLE_AFTER_WRITABLE);
      assertFalse(chain.writeLast((byte) 7));
    }

    @Test
    void moreThanFourGibibytesInAll() {
      int mebibytes = 4096;
      QueueSetup setup = new QueueSetup(2 * mebibytes, HIGH_RAM, 0x4_0000, 0x6_0000);
      for (int i = 0; i < mebibytes; i++) {
        boolean last = i == mebibytes - 1;
        ring.descriptor(HIGH_RAM, i, 0, RAM_END, WRITE | (last ? 0 : NEXT), i + 1);
      }
      ring.memory().putShortRelease(setup.availableRing() + 2, (short) 1);
      DescriptorChain large = new DescriptorChain(ring.memory(), setup.size());
      assertTrue(new Virtqueue(ring.memory(), setup, 0).pop(large));
      assertEquals(ChainDefect.TOO_MANY_BYTES, large.defect());

      ring.descriptor(HIGH_RAM, mebibytes - 1, 0, RAM_END - 1, WRITE, 0);
      assertTrue(new Virtqueue(ring.memory(), setup, 0).pop(large));
      assertNull(large.defect(), "a byte less is legal");
    }

    @Test
    void theFirstDefectCounts() {
      ring.descriptor(0, BUFFERS, 0, NEXT, 1).descriptor(1, RAM_END, 16, 0, 0).offer(0);
      assertDefect(ChainDefect.EMPTY_BUFFER);
    }
  }

  @Nested
  class ARingThatIsIllegalIsRefused {
    @ParameterizedTest
    @ValueSource(ints = {SIZE, SIZE + 1, 0xffff})
    void headOutOfRange(int head) {
      ring.offer(head);
      assertFault(Fault.HEAD_OUT_OF_RANGE, queue());
    }

    @Test
    void chainThatLoops() {
      ring.descriptor(0, BUFFERS, 1, NEXT, 1).descriptor(1, BUFFERS, 1, NEXT, 0).offer(0);
      assertFault(Fault.CHAIN_TOO_LONG, queue());
    }

    @Test
    void chainThatLoopsOnItself() {
      ring.descriptor(0, BUFFERS, 1, NEXT, 0).offer(0);
      assertFault(Fault.CHAIN_TOO_LONG, queue());
    }

    @ParameterizedTest
    @ValueSource(ints = {SIZE, 0xffff})
    void nextOutOfRange(int next) {
      ring.descriptor(0, BUFFERS, 1, NEXT, next).offer(0);
      assertFault(Fault.NEXT_OUT_OF_RANGE, queue());
    }

    @ParameterizedTest
    @ValueSource(ints = {SIZE + 1, 0x7fff, 0xffff})
    void availableIndexThatJumps(int index) {
      ring.moveIndexTo(index);
      assertFault(Fault.AVAILABLE_INDEX, queue());
    }

    @Test
    void availableIndexThatGoesBackwards() {
      ring.descriptor(0, BUFFERS, 1, 0, 0).offer(0).offer(0);
      Virtqueue queue = queue();
      assertTrue(queue.pop(chain));
      queue.complete(chain, 0);
      assertTrue(queue.pop(chain));
      queue.complete(chain, 0);
      ring.moveIndexTo(1);
      assertFault(Fault.AVAILABLE_INDEX, queue);
    }

    @Test
    void availableIndexThatGoesBackwardsBeforeItsChainsAreTakenReplaysNothing() {
      ring.descriptor(0, BUFFERS, 1, 0, 0).descriptor(1, BUFFERS, 1, 0, 0).offer(0).offer(1);
      Virtqueue queue = queue();
      assertTrue(queue.pop(chain));
      ring.moveIndexTo(0);
      assertTrue(queue.pop(chain), "it was offered; it cannot be taken back");
      assertEquals(1, chain.head());
      assertFault(Fault.AVAILABLE_INDEX, queue);
    }

    @Test
    void headThatIsStillInUse() {
      ring.descriptor(0, BUFFERS, 1, 0, 0).offer(0).offer(0);
      Virtqueue queue = queue();
      assertTrue(queue.pop(chain));
      assertFault(Fault.HEAD_IN_USE, queue);
    }

    @ParameterizedTest
    @ValueSource(ints = {0, -1, 3, 12, 0x8001, 0x10000, Integer.MIN_VALUE})
    void size(int size) {
      assertSetupFault(Fault.QUEUE_SIZE, new QueueSetup(size, 0x1000, 0x4000, 0x6000));
    }

    @ParameterizedTest
    @CsvSource({"0x1008, 0x4000, 0x6000", "0x1000, 0x4001, 0x6000", "0x1000, 0x4000, 0x6002"})
    void alignment(String descriptors, String available, String used) {
      assertSetupFault(
          Fault.RING_ALIGNMENT,
          new QueueSetup(
              SIZE, Long.decode(descriptors), Long.decode(available), Long.decode(used)));
    }

    @ParameterizedTest
    @CsvSource({
      // each with its last byte just outside: 16 * 8, 6 + 2 * 8, and 6 + 8 * 8 bytes
      "0xfff90, 0x4000, 0x6000",
      "0x1000, 0xfffec, 0x6000",
      "0x1000, 0x4000, 0xfffbc",
      "-16, 0x4000, 0x6000",
      "0x1000, 0xd0000000, 0x6000",
    })
    void ringOutsideMemory(String descriptors, String available, String used) {
      assertSetupFault(
          Fault.RING_OUTSIDE_MEMORY,
          new QueueSetup(
              SIZE, Long.decode(descriptors), Long.decode(available), Long.decode(used)));
    }

    @Test
    void ringsMayEndExactlyAtTheEndOfMemory() {
      assertEquals(
          SIZE,
          new Virtqueue(ring.memory(), new QueueSetup(SIZE, 0xfff80, 0x4000, 0x6000), 0).size());
      assertEquals(
          SIZE,
          new Virtqueue(ring.memory(), new QueueSetup(SIZE, 0x1000, 0xfffea, 0x6000), 0).size());
      assertEquals(
          SIZE,
          new Virtqueue(ring.memory(), new QueueSetup(SIZE, 0x1000, 0x4000, 0xfffb8), 0).size());
    }

    private void assertSetupFault(Fault fault, QueueSetup setup) {
      assertEquals(
          fault,
          assertThrows(
                  VirtqueueException.class,
                  () -> {
                    Virtqueue _ = new Virtqueue(ring.memory(), setup, Virtqueue.FEATURES);
                  })
              .fault());
    }
  }

  @Nested
  class AnIndirectTable {
    @Test
    void isAChain() {
      ring.descriptor(2, TABLE, 32, INDIRECT, 0)
          .descriptor(TABLE, 0, BUFFERS, 16, NEXT, 1)
          .descriptor(TABLE, 1, BUFFERS, 512, WRITE, 0)
          .offer(2);
      assertTrue(queue().pop(chain));
      assertEquals(2, chain.head());
      assertEquals(2, chain.count());
      assertEquals(16, chain.readableBytes());
      assertEquals(512, chain.writableBytes());
    }

    @Test
    void mayFollowDirectDescriptors() {
      ring.descriptor(0, BUFFERS, 16, NEXT, 1)
          .descriptor(1, TABLE, 16, INDIRECT, 0)
          .descriptor(TABLE, 0, BUFFERS, 512, WRITE, 0)
          .offer(0);
      assertTrue(queue().pop(chain));
      assertEquals(2, chain.count());
    }

    @Test
    void mayBeLargerThanTheChainInIt() {
      ring.descriptor(0, TABLE, 16 * 100, INDIRECT, 0)
          .descriptor(TABLE, 0, BUFFERS, 16, NEXT, 99)
          .descriptor(TABLE, 99, BUFFERS, 16, 0, 0)
          .offer(0);
      assertTrue(queue().pop(chain));
      assertEquals(2, chain.count());
    }

    @Test
    void mayHaveAllTheEntriesThatNextCanName() {
      ring.descriptor(0, HIGH_RAM, 16 * 65_536, INDIRECT, 0)
          .descriptor(HIGH_RAM, 0, BUFFERS, 16, NEXT, 65_535)
          .descriptor(HIGH_RAM, 65_535, BUFFERS, 16, 0, 0)
          .offer(0);
      assertTrue(queue().pop(chain));
      assertEquals(2, chain.count());
    }

    @Test
    void mayFillTheQueueButNotMore() {
      for (int i = 0; i <= SIZE; i++) {
        ring.descriptor(TABLE, i, BUFFERS, 1, i < SIZE - 1 ? NEXT : 0, i + 1);
      }
      ring.descriptor(0, TABLE, 16 * (SIZE + 1), INDIRECT, 0).offer(0);
      Virtqueue queue = queue();
      assertTrue(queue.pop(chain));
      assertEquals(SIZE, chain.count());

      ring.descriptor(TABLE, SIZE - 1, BUFFERS, 1, NEXT, SIZE);
      ring.descriptor(1, TABLE, 16 * (SIZE + 1), INDIRECT, 0).offer(1);
      assertFault(Fault.CHAIN_TOO_LONG, queue);
    }

    @Test
    void countsTogetherWithTheDirectDescriptorsBeforeIt() {
      for (int i = 0; i < SIZE; i++) {
        ring.descriptor(TABLE, i, BUFFERS, 1, i < SIZE - 1 ? NEXT : 0, i + 1);
      }
      ring.descriptor(0, BUFFERS, 1, NEXT, 1).descriptor(1, TABLE, 16 * SIZE, INDIRECT, 0).offer(0);
      assertFault(Fault.CHAIN_TOO_LONG, queue());
    }

    @Test
    void thatWasNotNegotiatedIsRefused() {
      ring.descriptor(0, TABLE, 16, INDIRECT, 0).offer(0);
      assertFault(Fault.INDIRECT_NOT_NEGOTIATED, queueWithout(Virtqueue.INDIRECT_DESC));
    }

    @Test
    void withinAnotherIsRefused() {
      ring.descriptor(0, TABLE, 32, INDIRECT, 0)
          .descriptor(TABLE, 0, BUFFERS, 1, NEXT, 1)
          .descriptor(TABLE, 1, TABLE + 0x100, 16, INDIRECT, 0)
          .offer(0);
      assertFault(Fault.INDIRECT_NESTED, queue());
    }

    @Test
    void thatIsTheDescriptorTableItselfIsRefused() {
      long descriptors = ring.setup().descriptorTable();
      ring.descriptor(0, descriptors, 16 * SIZE, INDIRECT, 0).offer(0);
      assertFault(Fault.INDIRECT_NESTED, queue());
    }

    @Test
    void thatIsContinuedIsRefused() {
      ring.descriptor(0, TABLE, 16, INDIRECT | NEXT, 1).offer(0);
      assertFault(Fault.INDIRECT_WITH_NEXT, queue());
    }

    @ParameterizedTest
    @ValueSource(ints = {0, 1, 15, 17, 24})
    void ofALengthThatIsNotOfWholeDescriptorsIsRefused(int length) {
      ring.descriptor(0, TABLE, length, INDIRECT, 0).offer(0);
      assertFault(Fault.INDIRECT_LENGTH, queue());
    }

    @ParameterizedTest
    @CsvSource({"0xffff8, 16", "0x100000, 16", "-16, 32", "0x8000, 0xfffffff0"})
    void thatIsNotWhollyInMemoryIsRefused(String address, String length) {
      ring.descriptor(0, Long.decode(address), Long.decode(length), INDIRECT, 0).offer(0);
      assertFault(Fault.INDIRECT_OUTSIDE_MEMORY, queue());
    }

    @Test
    void thatLeadsOutOfItselfIsRefused() {
      ring.descriptor(0, TABLE, 32, INDIRECT, 0).descriptor(TABLE, 0, BUFFERS, 1, NEXT, 2).offer(0);
      assertFault(Fault.NEXT_OUT_OF_RANGE, queue());
    }

    @Test
    void thatLoopsIsRefused() {
      ring.descriptor(0, TABLE, 16, INDIRECT, 0).descriptor(TABLE, 0, BUFFERS, 1, NEXT, 0).offer(0);
      assertFault(Fault.CHAIN_TOO_LONG, queue());
    }
  }

  @Nested
  class ReturningAChain {
    @Test
    void saysWhichAndHowMuchWasWritten() {
      ring.descriptor(6, BUFFERS, 512, WRITE, 0).offer(6);
      Virtqueue queue = queue();
      assertTrue(queue.pop(chain));
      assertFalse(ring.hasUsed());
      queue.complete(chain, 513);
      assertEquals(new GuestRing.Used(6, 513), ring.takeUsed());
      assertFalse(ring.hasUsed());
    }

    @Test
    void showsThoseThatBelongTogetherAtOnce() {
      for (int head = 0; head < 3; head++) {
        ring.descriptor(head, BUFFERS, 512, WRITE, 0).offer(head);
      }
      Virtqueue queue = queue();
      for (int head = 0; head < 3; head++) {
        assertTrue(queue.pop(chain));
        queue.addUsed(chain.head(), 100 + head);
        assertFalse(ring.hasUsed());
      }
      queue.publishUsed();
      for (int head = 0; head < 3; head++) {
        assertEquals(new GuestRing.Used(head, 100 + head), ring.takeUsed());
      }
      assertFalse(ring.hasUsed());
    }

    @Test
    void goesOnWhenTheIndicesWrapAround() {
      Virtqueue queue = queue();
      for (int i = 0; i < 0x1_0000 + 3 * SIZE; i++) {
        int head = i % SIZE;
        ring.descriptor(head, BUFFERS + i, 1, WRITE, 0).offer(head);
        assertTrue(queue.pop(chain));
        queue.complete(chain, i);
        assertEquals(new GuestRing.Used(head, i), ring.takeUsed());
      }
    }

    @Test
    void allocatesNothing() {
      Virtqueue queue = queue();
      ThreadMXBean threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
      rounds(queue, 20_000);
      long before = threads.getCurrentThreadAllocatedBytes();
      rounds(queue, 100_000);
      long allocated = threads.getCurrentThreadAllocatedBytes() - before;
      assertTrue(allocated < 100_000, allocated + " bytes in 100,000 rounds");
    }

    private void rounds(Virtqueue queue, int rounds) {
      ring.descriptor(0, BUFFERS, 16, NEXT, 1)
          .descriptor(1, TABLE, 32, INDIRECT, 0)
          .descriptor(TABLE, 0, BUFFERS, 512, WRITE | NEXT, 1)
          .descriptor(TABLE, 1, BUFFERS, 1, WRITE, 0);
      for (int i = 0; i < rounds; i++) {
        ring.offer(0);
        queue.disableNotifications();
        if (!queue.pop(chain)) {
          throw new AssertionError("nothing available");
        }
        queue.complete(chain, 1);
        queue.interruptWanted();
        queue.enableNotifications();
      }
    }
  }

  @Nested
  class WithoutEventIndices {
    private final Virtqueue queue = queueWithout(Virtqueue.EVENT_IDX);

    @Test
    void aFlagAsksForNotificationsOrNone() {
      queue.disableNotifications();
      assertFalse(ring.notificationsWanted());
      assertFalse(queue.enableNotifications());
      assertTrue(ring.notificationsWanted());
    }

    @Test
    void whatCameBeforeNotificationsWereOnIsFound() {
      queue.disableNotifications();
      ring.descriptor(0, BUFFERS, 1, 0, 0).offer(0);
      assertTrue(queue.enableNotifications());
    }

    @Test
    void theDriversFlagDecidesAboutInterrupts() {
      assertFalse(queue.interruptWanted(), "there is nothing to tell");
      completeOne();
      assertTrue(queue.interruptWanted());
      assertFalse(queue.interruptWanted(), "that was told");
      ring.noInterrupt(true);
      completeOne();
      assertFalse(queue.interruptWanted());
      ring.noInterrupt(false);
      completeOne();
      assertTrue(queue.interruptWanted());
    }

    private void completeOne() {
      ring.descriptor(0, BUFFERS, 1, 0, 0).offer(0);
      assertTrue(queue.pop(chain));
      queue.complete(chain, 0);
      assertTrue(queue.hasNews());
    }
  }

  @Nested
  class WithEventIndices {
    private final Virtqueue queue = queue();

    @Test
    void theDeviceAsksForTheNextNotificationOnly() {
      complete(3);
      assertFalse(queue.enableNotifications());
      assertEquals(3, ring.availableEvent());
    }

    @Test
    void whatCameBeforeArmingIsFound() {
      ring.descriptor(0, BUFFERS, 1, 0, 0).offer(0);
      assertTrue(queue.enableNotifications());
    }

    @Test
    void theDriverIsInterruptedWhenItsIndexIsPassed() {
      ring.usedEvent(0);
      complete(1);
      assertTrue(queue.interruptWanted());
      ring.usedEvent(3);
      complete(2);
      assertFalse(queue.interruptWanted(), "3 used, none beyond");
      complete(1);
      assertTrue(queue.interruptWanted());
      complete(1);
      assertFalse(queue.interruptWanted(), "passed once");
    }

    @Test
    void anIndexWithinABatchIsPassed() {
      ring.usedEvent(2);
      complete(5);
      assertTrue(queue.interruptWanted());
    }

    @Test
    void indicesWrapAround() {
      for (int i = 0; i < 0xfffe; i += 2) {
        complete(2);
        boolean _ = queue.interruptWanted();
      }
      ring.usedEvent(0xffff);
      complete(1);
      assertFalse(queue.interruptWanted());
      complete(1);
      assertTrue(queue.interruptWanted());
      assertFalse(queue.enableNotifications());
      assertEquals(0, ring.availableEvent());
      ring.usedEvent(0);
      complete(1);
      assertTrue(queue.interruptWanted());
    }

    @ParameterizedTest
    @CsvSource({
      "0, 1, 0, true",
      "0, 0, 0, false",
      "1, 1, 0, false",
      "4, 8, 4, true",
      "7, 8, 4, true",
      "8, 8, 4, false",
      "3, 8, 4, false",
      "0xffff, 0, 0xffff, true",
      "0xffff, 0xffff, 0xfffe, false",
      "0xfffe, 1, 0xfffd, true",
      "1, 1, 0xfffd, false",
    })
    void passingIsDefinedByThreeIndices(String event, String now, String before, boolean passes) {
      assertEquals(
          passes,
          Virtqueue.passes(Integer.decode(event), Integer.decode(now), Integer.decode(before)));
    }

    private void complete(int count) {
      for (int i = 0; i < count; i++) {
        ring.descriptor(0, BUFFERS, 1, 0, 0).offer(0);
        assertTrue(queue.pop(chain));
        queue.complete(chain, 0);
      }
    }
  }

  /** Driver and device write at the same time, each to its own ring. */
  @Nested
  class BesideItsDriver {
    private static final int ROUNDS = 200_000;

    /** A payload that is older than its index, or a length that is older, would be another's. */
    @Test
    void seesWhatWasPublishedBeforeTheIndexAndPublishesBeforeItsOwn() throws InterruptedException {
      Virtqueue queue = queue();
      AtomicBoolean stop = new AtomicBoolean();
      Thread device =
          Thread.ofPlatform()
              .start(() -> {
                while (!stop.get()) {
                  if (queue.pop(chain)) {
                    queue.complete(chain, chain.getInt(0));
                  }
                }
              });
      try {
        for (int offered = 0, returned = 0; returned < ROUNDS; ) {
          if (offered < ROUNDS && offered - returned < SIZE) {
            int head = offered % SIZE;
            ring.memory().putInt(BUFFERS + 64L * head, offered);
            ring.descriptor(head, BUFFERS + 64L * head, 4, 0, 0).offer(head);
            offered++;
          }
          if (ring.hasUsed()) {
            assertEquals(new GuestRing.Used(returned % SIZE, returned), ring.takeUsed());
            returned++;
          }
        }
      } finally {
        stop.set(true);
        device.join();
      }
    }
  }
}

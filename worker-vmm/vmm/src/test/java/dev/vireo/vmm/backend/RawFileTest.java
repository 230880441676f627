package dev.vireo.vmm.backend;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import com.kenai.jffi.LastError;
import dev.vireo.linux.Errno;
import dev.vireo.linux.Fd;
import dev.vireo.linux.Linux;
import dev.vireo.vmm.memory.GuestMemory;
import dev.vireo.vmm.memory.GuestMemory.Region;
import dev.vireo.vmm.memory.GuestMemoryException;
import dev.vireo.vmm.memory.IoVector;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class RawFileTest {
  private static final int SIZE = 4096;

  @TempDir Path directory;

  private final GuestMemory memory =
      new GuestMemory(List.of(new Region(0, Arena.ofAuto().allocate(0x10000, 4096))));
  private final IoVector vector = new IoVector(memory, 4);
  private final byte[] content = new byte[SIZE];
  private Path path;

  @BeforeEach
  void createFile() throws IOException {
    for (int i = 0; i < SIZE; i++) {
      content[i] = (byte) (i * 7 + i / 256);
    }
    path = Files.write(directory.resolve("disk.raw"), content);
  }

  private RawFile open(FakeLibc.Replacement replacement) {
    Fd fd = Fd.open(path.toString(), Fd.O_RDWR);
    return new RawFile(new FakeLibc(replacement).libc(), fd, null, DiskGeometry.ofFile(SIZE));
  }

  private byte[] memoryAt(long address, int length) {
    byte[] bytes = new byte[length];
    memory.read(address, bytes);
    return bytes;
  }

  @Test
  void readsIntoOneRangeOrMany() {
    try (RawFile file = new RawFile(Fd.open(path.toString(), Fd.O_RDONLY), SIZE)) {
      vector.add(0x1000, 512);
      assertEquals(RawFile.OK, file.read(vector, 1024));
      assertArrayEquals(Arrays.copyOfRange(content, 1024, 1536), memoryAt(0x1000, 512));

      vector.clear();
      vector.add(0x2000, 100);
      vector.add(0x3000, 1);
      vector.add(0x4000, 411);
      assertEquals(RawFile.OK, file.read(vector, SIZE - 512));
      assertArrayEquals(Arrays.copyOfRange(content, SIZE - 512, SIZE - 412), memoryAt(0x2000, 100));
      assertArrayEquals(Arrays.copyOfRange(content, SIZE - 411, SIZE), memoryAt(0x4000, 411));
    }
  }

  @Test
  void writesWhatItReads() throws IOException {
    try (RawFile file = new RawFile(Fd.open(path.toString(), Fd.O_RDWR), SIZE)) {
      memory.write(0x1000, new byte[] {1, 2, 3});
      vector.add(0x1001, 2);
      vector.add(0x1000, 1);
      assertEquals(RawFile.OK, file.write(vector, 10));
      assertEquals(RawFile.OK, file.flush());
    }
    assertArrayEquals(new byte[] {2, 3, 1}, Arrays.copyOfRange(Files.readAllBytes(path), 10, 13));
  }

  @Test
  void goesOnAfterAPartThatEndsWithinARange() {
    try (RawFile file = open(RawFileTest::readAtMost300)) {
      vector.add(0x1000, 1000);
      vector.add(0x2000, 1000);
      vector.add(0x3000, 1000);
      assertEquals(RawFile.OK, file.read(vector, 0));
      assertArrayEquals(Arrays.copyOfRange(content, 0, 1000), memoryAt(0x1000, 1000));
      assertArrayEquals(Arrays.copyOfRange(content, 1000, 2000), memoryAt(0x2000, 1000));
      assertArrayEquals(Arrays.copyOfRange(content, 2000, 3000), memoryAt(0x3000, 1000));
    }
  }

  /** In place of {@code preadv(2)}: a part of the first range. */
  private static @Nullable Object readAtMost300(String function, Object[] arguments) {
    if (!function.equals("preadv")) {
      return null;
    }
    MemorySegment first = MemorySegment.ofAddress((long) arguments[1]).reinterpret(16);
    long address = first.get(ValueLayout.JAVA_LONG, 0);
    long length = Math.min(300, first.get(ValueLayout.JAVA_LONG, 8));
    return Linux.libc().pread((int) arguments[0], address, length, (long) arguments[3]);
  }

  @Test
  void aSignalDoesNotEndATransfer() {
    AtomicInteger calls = new AtomicInteger();
    FakeLibc.Replacement interruptedOnce =
        (function, arguments) -> {
          if (!function.equals("pread") || calls.getAndIncrement() > 0) {
            return null;
          }
          LastError.getInstance().set(Errno.EINTR);
          return -1L;
        };
    try (RawFile file = open(interruptedOnce)) {
      vector.add(0x1000, 512);
      assertEquals(RawFile.OK, file.read(vector, 0));
      assertEquals(2, calls.get());
    }
  }

  @Test
  void aFileThatEndsTooSoonIsAnError() {
    try (RawFile file = new RawFile(Fd.open(path.toString(), Fd.O_RDONLY), 2 * SIZE)) {
      vector.add(0x1000, 1024);
      assertEquals(Errno.EIO, file.read(vector, SIZE - 512));
    }
  }

  @Test
  void aFullFileSystemIsAnError() {
    try (RawFile file = new RawFile(Fd.open("/dev/full", Fd.O_RDWR), SIZE)) {
      vector.add(0x1000, 512);
      assertEquals(Errno.ENOSPC, file.write(vector, 0));
    }
  }

  @Test
  void aReadOnlyDescriptorCannotBeWritten() {
    try (RawFile file = new RawFile(Fd.open(path.toString(), Fd.O_RDONLY), SIZE)) {
      vector.add(0x1000, 512);
      assertEquals(Errno.EBADF, file.write(vector, 0));
    }
  }

  @Test
  void capacityIsOfWholeSectors() {
    assertThrows(IllegalArgumentException.class, () -> DiskGeometry.ofFile(513));
    assertThrows(IllegalArgumentException.class, () -> DiskGeometry.ofFile(-512));
  }

  @Test
  void aVectorTakesGuestMemoryOnly() {
    assertThrows(GuestMemoryException.class, () -> vector.add(0xffff, 2));
    assertThrows(GuestMemoryException.class, () -> vector.add(-1, 1));
    assertEquals(0, vector.count());
    for (int i = 0; i < 4; i++) {
      vector.add(0, 1);
    }
    assertThrows(IndexOutOfBoundsException.class, () -> vector.add(0, 1));
    assertThrows(IndexOutOfBoundsException.class, () -> vector.skip(5));
    assertThrows(IndexOutOfBoundsException.class, () -> vector.skip(-1));
  }
}

package dev.vireo.linux;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** What each provider of {@link Libc} must pass: every width and number of arguments counts. */
abstract class LibcConformanceTest {
  private static final int PAGE = 4096;
  private static final int PROT_READ = 1;
  private static final int PROT_READ_WRITE = 3;
  private static final int MAP_SHARED = 1;
  private static final int AT_EMPTY_PATH = 0x1000;

  private final Libc libc;
  private final Arena arena = Arena.ofConfined();

  LibcConformanceTest(Libc libc) {
    this.libc = libc;
  }

  @AfterEach
  void freeMemory() {
    arena.close();
  }

  private int memoryFile(int bytes) {
    int fd = libc.memfd_create(Linux.cString(arena, "conformance"), 1);
    assertTrue(fd > 2);
    assertEquals(0, libc.ftruncate(fd, bytes));
    return fd;
  }

  @Test
  void failureIsMinusOneAndErrno() {
    assertEquals(-1, libc.open(Linux.cString(arena, "/no/such/file"), 0, 0));
    assertEquals(Errno.ENOENT, Linux.errno());
    assertEquals(-1L, libc.read(-1, 0, 0));
    assertEquals(Errno.EBADF, Linux.errno());
  }

  @Test
  void callWithoutArguments() {
    assertEquals(ProcessHandle.current().pid(), libc.getpid());
    assertTrue(libc.gettid() > 0);
  }

  /** jnr-ffi's own stubs got mmap's sixth argument wrong in many releases. */
  @Test
  void mmapMapsTheOffsetItIsGiven() {
    int fd = memoryFile(4 * PAGE);
    MemorySegment byteToWrite = arena.allocateFrom(ValueLayout.JAVA_BYTE, (byte) 0x5a);
    assertEquals(1, libc.pwrite(fd, byteToWrite.address(), 1, 3 * PAGE));
    long address = libc.mmap(0, PAGE, PROT_READ, MAP_SHARED, fd, 3 * PAGE);
    assertNotEquals(-1, address);
    assertEquals(
        0x5a, MemorySegment.ofAddress(address).reinterpret(PAGE).get(ValueLayout.JAVA_BYTE, 0));
    assertEquals(0, libc.munmap(address, PAGE));
    assertEquals(-1, libc.mmap(0, PAGE, PROT_READ, MAP_SHARED, fd, 1), "unaligned offset");
    assertEquals(Errno.EINVAL, Linux.errno());
    assertEquals(0, libc.close(fd));
  }

  @Test
  void sizesAndOffsetsAbove32BitsArriveWhole() {
    long far = (5L << 32) + 7;
    int fd = memoryFile(0);
    assertEquals(0, libc.ftruncate(fd, far + 1));
    assertEquals(far + 1, libc.lseek(fd, 0, 2));
    MemorySegment octet = arena.allocateFrom(ValueLayout.JAVA_BYTE, (byte) 0x42);
    assertEquals(1, libc.pwrite(fd, octet.address(), 1, far));
    octet.fill((byte) 0);
    assertEquals(1, libc.pread(fd, octet.address(), 1, far));
    assertEquals(0x42, octet.get(ValueLayout.JAVA_BYTE, 0));
    assertEquals(0, libc.fallocate(fd, 1 | 2, 0, far));
    assertEquals(0, libc.close(fd));
  }

  @Test
  void fiveArgumentsOfMixedWidth() {
    int fd = memoryFile(12_345);
    MemorySegment result = arena.allocate(256, 8);
    assertEquals(
        0, libc.statx(fd, Linux.cString(arena, ""), AT_EMPTY_PATH, 0x200, result.address()));
    assertEquals(12_345, result.get(ValueLayout.JAVA_LONG, 40));
    assertEquals(0, libc.close(fd));
  }

  @Test
  void randomBytesFillTheBuffer() {
    MemorySegment bytes = arena.allocate(256, 1);
    assertEquals(256, libc.getrandom(bytes.address(), 256, 0));
    assertTrue(bytes.mismatch(arena.allocate(256, 1)) >= 0, "all zeroes");
  }

  @Test
  void vectoredReadAndWrite() {
    int fd = memoryFile(0);
    MemorySegment data = arena.allocateFrom(ValueLayout.JAVA_BYTE, (byte) 1, (byte) 2, (byte) 3);
    MemorySegment vectors = arena.allocate(32, 8);
    vectors.set(ValueLayout.JAVA_LONG, 0, data.address() + 2);
    vectors.set(ValueLayout.JAVA_LONG, 8, 1);
    vectors.set(ValueLayout.JAVA_LONG, 16, data.address());
    vectors.set(ValueLayout.JAVA_LONG, 24, 2);
    assertEquals(3, libc.pwritev(fd, vectors.address(), 2, 10));
    MemorySegment back = arena.allocate(13, 1);
    assertEquals(13, libc.pread(fd, back.address(), 13, 0));
    assertEquals(3, back.get(ValueLayout.JAVA_BYTE, 10));
    assertEquals(1, back.get(ValueLayout.JAVA_BYTE, 11));
    assertEquals(3, libc.preadv(fd, vectors.address(), 2, 10));
    assertEquals(3, libc.writev(fd, vectors.address(), 2));
    assertEquals(3, libc.lseek(fd, 0, 1), "from where the file stands");
    assertEquals(0, libc.lseek(fd, 0, 0));
    data.fill((byte) 0);
    assertEquals(3, libc.readv(fd, vectors.address(), 2));
    assertEquals(3, data.get(ValueLayout.JAVA_BYTE, 2));
    assertEquals(0, libc.close(fd));
  }

  @Test
  void eventfdCounts() {
    int fd = libc.eventfd(0, 04000);
    MemorySegment value = arena.allocate(8, 8);
    assertEquals(-1, libc.eventfd_read(fd, value.address()));
    assertEquals(Errno.EAGAIN, Linux.errno());
    assertEquals(0, libc.eventfd_write(fd, 1));
    assertEquals(0, libc.eventfd_write(fd, 1));
    assertEquals(0, libc.eventfd_read(fd, value.address()));
    assertEquals(2, value.get(ValueLayout.JAVA_LONG, 0));
    assertEquals(0, libc.close(fd));
  }

  @Test
  void ioctlPassesAnAddress() {
    int fd = memoryFile(0);
    assertEquals(0, libc.close(fd));
    MemorySegment pair = arena.allocate(8, 4);
    assertEquals(0, libc.socketpair(1, 1, 0, pair.address()));
    int left = pair.get(ValueLayout.JAVA_INT, 0);
    int right = pair.get(ValueLayout.JAVA_INT, 4);
    MemorySegment text = arena.allocateFrom("seven");
    assertEquals(5, libc.write(left, text.address(), 5));
    MemorySegment pending = arena.allocate(4, 4);
    long fionread = 0x541B;
    assertEquals(0, libc.ioctl(right, fionread, pending.address()));
    assertEquals(5, pending.get(ValueLayout.JAVA_INT, 0));
    assertEquals(0, libc.close(left));
    assertEquals(0, libc.close(right));
  }

  @Test
  void aBlockedSignalStaysPendingUntilItIsTaken() {
    MemorySegment set = arena.allocate(128, 8);
    set.set(ValueLayout.JAVA_LONG, 0, 1L << (Signals.KICK - 1));
    MemorySegment before = arena.allocate(128, 8);
    MemorySegment zero = arena.allocate(16, 8);
    assertEquals(0, libc.pthread_sigmask(0, set.address(), before.address()));
    assertEquals(0, libc.tgkill(libc.getpid(), libc.gettid(), Signals.KICK));
    assertEquals(Signals.KICK, libc.sigtimedwait(set.address(), 0, zero.address()));
    assertEquals(-1, libc.sigtimedwait(set.address(), 0, zero.address()));
    assertEquals(0, libc.pthread_sigmask(2, before.address(), 0));
  }

  @Test
  void protectionAndAdvice() {
    long address = libc.mmap(0, PAGE, PROT_READ_WRITE, 0x22, -1, 0);
    assertEquals(0, libc.madvise(address, PAGE, MemoryMapping.MADV_DONTDUMP));
    assertEquals(0, libc.mprotect(address, PAGE, PROT_READ));
    assertEquals(0, libc.munmap(address, PAGE));
  }
}

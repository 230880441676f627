package dev.vireo.linux;

import com.kenai.jffi.LastError;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;

/**
 * The C library of this process, and the one place where errno becomes an exception.
 *
 * <p>The system property {@code vireo.libc} chooses the provider: {@code jnr} (default) or {@code
 * jffi}. The property {@code vireo.libc.wrapper} names a {@link Libc.Wrapper} to put around it, for
 * a test bench that has to see the calls; no VMM is started with it.
 */
public final class Linux {
  /** True on x86-64, false on arm64: a few structures and numbers differ. */
  public static final boolean X86_64 = "amd64".equals(System.getProperty("os.arch"));

  private static final Libc LIBC =
      wrapped("jffi".equals(System.getProperty("vireo.libc")) ? new JffiLibc() : JnrLibc.load());

  private Linux() {}

  private static Libc wrapped(Libc libc) {
    String wrapper = System.getProperty("vireo.libc.wrapper");
    if (wrapper == null) {
      return libc;
    }
    try {
      return Class.forName(wrapper)
          .asSubclass(Libc.Wrapper.class)
          .getDeclaredConstructor()
          .newInstance()
          .wrap(libc);
    } catch (ReflectiveOperationException e) {
      throw new IllegalArgumentException("vireo.libc.wrapper: " + wrapper, e);
    }
  }

  /** The C library. Results of its functions go through a {@code check}. */
  public static Libc libc() {
    return LIBC;
  }

  /** errno of this thread's last call through {@link Libc}. */
  public static int errno() {
    return LastError.getInstance().get();
  }

  /**
   * Fails as the C library does, for a {@link Libc} that stands in for it.
   *
   * @return −1, and leaves {@code error} as errno
   */
  public static int fail(int error) {
    LastError.getInstance().set(error);
    return -1;
  }

  /**
   * The result, unless it is −1.
   *
   * @throws LinuxException with errno, if it is −1
   */
  public static int check(int result, String call) {
    if (result == -1) {
      throw new LinuxException(call, errno());
    }
    return result;
  }

  /** As {@link #check(int, String)}. */
  public static long check(long result, String call) {
    if (result == -1) {
      throw new LinuxException(call, errno());
    }
    return result;
  }

  /**
   * For the functions that return an error number instead of setting errno (pthread, posix_spawn).
   */
  static void checkNumber(int error, String call) {
    if (error != 0) {
      throw new LinuxException(call, error);
    }
  }

  /**
   * Random bytes of the kernel's ({@code getrandom(2)}).
   *
   * @param count up to 256, which no signal cuts short
   */
  public static byte[] randomBytes(int count) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment bytes = arena.allocate(count);
      if (check(LIBC.getrandom(bytes.address(), count, 0), "getrandom") != count) {
        throw new IllegalArgumentException("too many random bytes at once: " + count);
      }
      return bytes.toArray(ValueLayout.JAVA_BYTE);
    }
  }

  /** A NUL-terminated copy of the string; the arena owns it. */
  static long cString(Arena arena, String string) {
    byte[] bytes = string.getBytes(StandardCharsets.UTF_8);
    MemorySegment copy = arena.allocate(bytes.length + 1L, 1);
    // Between segments: from an array it would make a class at run time, the first time.
    MemorySegment.copy(MemorySegment.ofArray(bytes), 0, copy, 0, bytes.length);
    return copy.address();
  }

  /** The address of a native segment, to be passed to {@link Libc}. */
  static long address(MemorySegment segment) {
    if (!segment.isNative()) {
      throw new IllegalArgumentException("not native memory");
    }
    return segment.address();
  }
}

package dev.vireo.linux;

/** A system call that failed, with its errno. */
public final class LinuxException extends RuntimeException {
  private static final long serialVersionUID = 1;

  private final String call;
  private final int errno;

  public LinuxException(String call, int errno) {
    super(call + ": " + Errno.describe(errno));
    this.call = call;
    this.errno = errno;
  }

  /** What failed, as the caller named it: the function, and the path or object if there is one. */
  public String call() {
    return call;
  }

  /** A value of {@code errno(3)}; see {@link Errno}. */
  public int errno() {
    return errno;
  }
}

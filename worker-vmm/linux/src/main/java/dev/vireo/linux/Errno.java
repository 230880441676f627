package dev.vireo.linux;

/** Error numbers of {@code asm-generic/errno.h}, those that anything here tells apart or prints. */
public final class Errno {
  public static final int EPERM = 1;
  public static final int ENOENT = 2;
  public static final int ESRCH = 3;
  public static final int EINTR = 4;
  public static final int EIO = 5;
  public static final int ENXIO = 6;
  public static final int E2BIG = 7;
  public static final int EBADF = 9;
  public static final int ECHILD = 10;
  public static final int EAGAIN = 11;
  public static final int ENOMEM = 12;
  public static final int EACCES = 13;
  public static final int EFAULT = 14;
  public static final int EBUSY = 16;
  public static final int EEXIST = 17;
  public static final int ENODEV = 19;
  public static final int ENOTDIR = 20;
  public static final int EISDIR = 21;
  public static final int EINVAL = 22;
  public static final int EMFILE = 24;
  public static final int ENOTTY = 25;
  public static final int ENOSPC = 28;
  public static final int ESPIPE = 29;
  public static final int EROFS = 30;
  public static final int EPIPE = 32;
  public static final int ENOSYS = 38;
  public static final int EBADFD = 77;
  public static final int EMSGSIZE = 90;
  public static final int EOPNOTSUPP = 95;
  public static final int EADDRINUSE = 98;
  public static final int ECONNABORTED = 103;
  public static final int ECONNRESET = 104;
  public static final int ECONNREFUSED = 111;

  private Errno() {}

  /** The symbol, and the number for those that have none here: {@code ENOENT (2)}. */
  public static String describe(int errno) {
    return name(errno) + " (" + errno + ")";
  }

  private static String name(int errno) {
    return switch (errno) {
      case EPERM -> "EPERM, operation not permitted";
      case ENOENT -> "ENOENT, no such file or directory";
      case ESRCH -> "ESRCH, no such process";
      case EINTR -> "EINTR, interrupted";
      case EIO -> "EIO, input/output error";
      case ENXIO -> "ENXIO, no such device or address";
      case E2BIG -> "E2BIG, too long";
      case EBADF -> "EBADF, bad descriptor";
      case ECHILD -> "ECHILD, no child process";
      case EAGAIN -> "EAGAIN, try again";
      case ENOMEM -> "ENOMEM, out of memory";
      case EACCES -> "EACCES, permission denied";
      case EFAULT -> "EFAULT, bad address";
      case EBUSY -> "EBUSY, busy";
      case EEXIST -> "EEXIST, exists";
      case ENODEV -> "ENODEV, no such device";
      case ENOTDIR -> "ENOTDIR, not a directory";
      case EISDIR -> "EISDIR, is a directory";
      case EINVAL -> "EINVAL, invalid argument";
      case EMFILE -> "EMFILE, too many open files";
      case ENOTTY -> "ENOTTY, request not supported by this file";
      case ENOSPC -> "ENOSPC, no space left";
      case ESPIPE -> "ESPIPE, cannot seek";
      case EROFS -> "EROFS, read-only file system";
      case EPIPE -> "EPIPE, no reader";
      case ENOSYS -> "ENOSYS, not implemented";
      case EBADFD -> "EBADFD, descriptor in a bad state";
      case EMSGSIZE -> "EMSGSIZE, message too long";
      case EOPNOTSUPP -> "EOPNOTSUPP, not supported";
      case EADDRINUSE -> "EADDRINUSE, address in use";
      case ECONNABORTED -> "ECONNABORTED, connection aborted";
      case ECONNRESET -> "ECONNRESET, connection reset";
      case ECONNREFUSED -> "ECONNREFUSED, connection refused";
      default -> "errno";
    };
  }
}

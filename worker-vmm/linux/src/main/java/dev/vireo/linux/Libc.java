package dev.vireo.linux;

/**
 * The C library's functions, by C's own names and conventions: pointers and {@code size_t} are
 * {@code long}, failure is −1 with errno left for {@link Linux#check}. See section 2 of the manual
 * for each. Variadic functions are declared with the arguments that are used here, which the x86-64
 * and arm64 calling conventions of Linux pass alike.
 *
 * <p>Two providers serve it: jnr-ffi ({@link JnrLibc}), and jnr-ffi's own lower layer called
 * directly ({@link JffiLibc}), which starts sooner and needs less memory.
 */
@SuppressWarnings("MemberName") // The names are C's.
public interface Libc {
  /** Puts itself between this process and the C library. Has a public constructor for none. */
  interface Wrapper {
    Libc wrap(Libc libc);
  }

  int open(long path, int flags, int mode);

  int close(int fd);

  long read(int fd, long buffer, long count);

  long write(int fd, long buffer, long count);

  long readv(int fd, long vectors, int vectorCount);

  long writev(int fd, long vectors, int vectorCount);

  long pread(int fd, long buffer, long count, long offset);

  long pwrite(int fd, long buffer, long count, long offset);

  long preadv(int fd, long vectors, int vectorCount, long offset);

  long pwritev(int fd, long vectors, int vectorCount, long offset);

  int ioctl(int fd, long request, long argument);

  int fcntl(int fd, int command, long argument);

  int dup(int fd);

  long lseek(int fd, long offset, int whence);

  int fsync(int fd);

  int fdatasync(int fd);

  int fallocate(int fd, int mode, long offset, long length);

  int ftruncate(int fd, long length);

  int statx(int directoryFd, long path, int flags, int mask, long buffer);

  int memfd_create(long name, int flags);

  long mmap(long address, long length, int protection, int flags, int fd, long offset);

  int munmap(long address, long length);

  int mprotect(long address, long length, int protection);

  int madvise(long address, long length, int advice);

  int eventfd(int initialValue, int flags);

  int eventfd_read(int fd, long value);

  int eventfd_write(int fd, long value);

  int epoll_create1(int flags);

  int epoll_ctl(int epollFd, int operation, int fd, long event);

  int epoll_wait(int epollFd, long events, int maxEvents, int timeoutMillis);

  int poll(long pollFds, long count, int timeoutMillis);

  int ppoll(long pollFds, long count, long timeout, long signalMask);

  int socket(int domain, int type, int protocol);

  int socketpair(int domain, int type, int protocol, long pair);

  int bind(int fd, long address, int addressLength);

  int listen(int fd, int backlog);

  int accept4(int fd, long address, long addressLength, int flags);

  int connect(int fd, long address, int addressLength);

  int shutdown(int fd, int how);

  int getsockopt(int fd, int level, int option, long value, long length);

  long sendmsg(int fd, long message, int flags);

  long recvmsg(int fd, long message, int flags);

  long getrandom(long buffer, long length, int flags);

  int getpid();

  int gettid();

  int kill(int pid, int signal);

  int tgkill(int processId, int threadId, int signal);

  int waitid(int idType, int id, long signalInfo, int options);

  int pthread_sigmask(int how, long set, long oldSet);

  int sigtimedwait(long set, long signalInfo, long timeout);

  int prctl(int option, long argument2, long argument3, long argument4, long argument5);

  /** For calls that the C library of a supported distribution does not have yet. */
  long syscall(long number, long a, long b, long c, long d, long e);

  int posix_spawn(
      long pid, long path, long fileActions, long attributes, long argv, long environment);

  int posix_spawn_file_actions_init(long fileActions);

  int posix_spawn_file_actions_destroy(long fileActions);

  int posix_spawn_file_actions_addopen(long fileActions, int fd, long path, int flags, int mode);

  int posix_spawn_file_actions_adddup2(long fileActions, int fd, int newFd);

  int posix_spawn_file_actions_addchdir_np(long fileActions, long path);

  int posix_spawn_file_actions_addclosefrom_np(long fileActions, int from);

  int posix_spawnattr_init(long attributes);

  int posix_spawnattr_destroy(long attributes);

  int posix_spawnattr_setflags(long attributes, int flags);

  int posix_spawnattr_setsigmask(long attributes, long set);

  int posix_spawnattr_setsigdefault(long attributes, long set);
}

package dev.vireo.linux;

import com.kenai.jffi.CallContext;
import com.kenai.jffi.CallingConvention;
import com.kenai.jffi.Invoker;
import com.kenai.jffi.Library;
import com.kenai.jffi.Type;

/**
 * {@link Libc} by jffi's {@link Invoker}, the layer below jnr-ffi: no interface proxies are
 * generated, which saves a VMM process about 3 MiB and 90 ms. All arguments are integers, so one
 * call context for each number of arguments serves every function.
 */
@SuppressWarnings("MemberName") // The names are C's.
final class JffiLibc implements Libc {
  private static final Invoker INVOKER = Invoker.getInstance();

  private static final CallContext C0 = context(0);
  private static final CallContext C1 = context(1);
  private static final CallContext C2 = context(2);
  private static final CallContext C3 = context(3);
  private static final CallContext C4 = context(4);
  private static final CallContext C5 = context(5);
  private static final CallContext C6 = context(6);

  private final long open = symbol("open");
  private final long close = symbol("close");
  private final long read = symbol("read");
  private final long write = symbol("write");
  private final long readv = symbol("readv");
  private final long writev = symbol("writev");
  private final long pread = symbol("pread");
  private final long pwrite = symbol("pwrite");
  private final long preadv = symbol("preadv");
  private final long pwritev = symbol("pwritev");
  private final long ioctl = symbol("ioctl");
  private final long fcntl = symbol("fcntl");
  private final long dup = symbol("dup");
  private final long lseek = symbol("lseek");
  private final long fsync = symbol("fsync");
  private final long fdatasync = symbol("fdatasync");
  private final long fallocate = symbol("fallocate");
  private final long ftruncate = symbol("ftruncate");
  private final long statx = symbol("statx");
  private final long memfd_create = symbol("memfd_create");
  private final long mmap = symbol("mmap");
  private final long munmap = symbol("munmap");
  private final long mprotect = symbol("mprotect");
  private final long madvise = symbol("madvise");
  private final long eventfd = symbol("eventfd");
  private final long eventfd_read = symbol("eventfd_read");
  private final long eventfd_write = symbol("eventfd_write");
  private final long epoll_create1 = symbol("epoll_create1");
  private final long epoll_ctl = symbol("epoll_ctl");
  private final long epoll_wait = symbol("epoll_wait");
  private final long poll = symbol("poll");
  private final long ppoll = symbol("ppoll");
  private final long socket = symbol("socket");
  private final long socketpair = symbol("socketpair");
  private final long bind = symbol("bind");
  private final long listen = symbol("listen");
  private final long accept4 = symbol("accept4");
  private final long connect = symbol("connect");
  private final long shutdown = symbol("shutdown");
  private final long getsockopt = symbol("getsockopt");
  private final long sendmsg = symbol("sendmsg");
  private final long recvmsg = symbol("recvmsg");
  private final long getrandom = symbol("getrandom");
  private final long getpid = symbol("getpid");
  private final long gettid = symbol("gettid");
  private final long kill = symbol("kill");
  private final long tgkill = symbol("tgkill");
  private final long waitid = symbol("waitid");
  private final long pthread_sigmask = symbol("pthread_sigmask");
  private final long sigtimedwait = symbol("sigtimedwait");
  private final long prctl = symbol("prctl");
  private final long syscall = symbol("syscall");
  private final long posix_spawn = symbol("posix_spawn");
  private final long posix_spawn_file_actions_init = symbol("posix_spawn_file_actions_init");
  private final long posix_spawn_file_actions_destroy = symbol("posix_spawn_file_actions_destroy");
  private final long posix_spawn_file_actions_addopen = symbol("posix_spawn_file_actions_addopen");
  private final long posix_spawn_file_actions_adddup2 = symbol("posix_spawn_file_actions_adddup2");
  private final long posix_spawn_file_actions_addchdir_np =
      symbol("posix_spawn_file_actions_addchdir_np");
  private final long posix_spawn_file_actions_addclosefrom_np =
      symbol("posix_spawn_file_actions_addclosefrom_np");
  private final long posix_spawnattr_init = symbol("posix_spawnattr_init");
  private final long posix_spawnattr_destroy = symbol("posix_spawnattr_destroy");
  private final long posix_spawnattr_setflags = symbol("posix_spawnattr_setflags");
  private final long posix_spawnattr_setsigmask = symbol("posix_spawnattr_setsigmask");
  private final long posix_spawnattr_setsigdefault = symbol("posix_spawnattr_setsigdefault");

  private static CallContext context(int arguments) {
    Type[] types = new Type[arguments];
    for (int i = 0; i < arguments; i++) {
      types[i] = Type.SINT64;
    }
    return CallContext.getCallContext(Type.SINT64, types, CallingConvention.DEFAULT, true);
  }

  private static long symbol(String name) {
    long address = Library.getDefault().getSymbolAddress(name);
    if (address == 0) {
      throw new UnsatisfiedLinkError("the C library has no " + name);
    }
    return address;
  }

  @Override
  public int open(long path, int flags, int mode) {
    return (int) INVOKER.invokeL3(C3, this.open, path, flags, mode);
  }

  @Override
  public int close(int fd) {
    return (int) INVOKER.invokeL1(C1, this.close, fd);
  }

  @Override
  public long read(int fd, long buffer, long count) {
    return INVOKER.invokeL3(C3, this.read, fd, buffer, count);
  }

  @Override
  public long write(int fd, long buffer, long count) {
    return INVOKER.invokeL3(C3, this.write, fd, buffer, count);
  }

  @Override
  public long readv(int fd, long vectors, int vectorCount) {
    return INVOKER.invokeL3(C3, this.readv, fd, vectors, vectorCount);
  }

  @Override
  public long writev(int fd, long vectors, int vectorCount) {
    return INVOKER.invokeL3(C3, this.writev, fd, vectors, vectorCount);
  }

  @Override
  public long pread(int fd, long buffer, long count, long offset) {
    return INVOKER.invokeL4(C4, this.pread, fd, buffer, count, offset);
  }

  @Override
  public long pwrite(int fd, long buffer, long count, long offset) {
    return INVOKER.invokeL4(C4, this.pwrite, fd, buffer, count, offset);
  }

  @Override
  public long preadv(int fd, long vectors, int vectorCount, long offset) {
    return INVOKER.invokeL4(C4, this.preadv, fd, vectors, vectorCount, offset);
  }

  @Override
  public long pwritev(int fd, long vectors, int vectorCount, long offset) {
    return INVOKER.invokeL4(C4, this.pwritev, fd, vectors, vectorCount, offset);
  }

  @Override
  public int ioctl(int fd, long request, long argument) {
    return (int) INVOKER.invokeL3(C3, this.ioctl, fd, request, argument);
  }

  @Override
  public int fcntl(int fd, int command, long argument) {
    return (int) INVOKER.invokeL3(C3, this.fcntl, fd, command, argument);
  }

  @Override
  public int dup(int fd) {
    return (int) INVOKER.invokeL1(C1, this.dup, fd);
  }

  @Override
  public long lseek(int fd, long offset, int whence) {
    return INVOKER.invokeL3(C3, this.lseek, fd, offset, whence);
  }

  @Override
  public int fsync(int fd) {
    return (int) INVOKER.invokeL1(C1, this.fsync, fd);
  }

  @Override
  public int fdatasync(int fd) {
    return (int) INVOKER.invokeL1(C1, this.fdatasync, fd);
  }

  @Override
  public int fallocate(int fd, int mode, long offset, long length) {
    return (int) INVOKER.invokeL4(C4, this.fallocate, fd, mode, offset, length);
  }

  @Override
  public int ftruncate(int fd, long length) {
    return (int) INVOKER.invokeL2(C2, this.ftruncate, fd, length);
  }

  @Override
  public int statx(int directoryFd, long path, int flags, int mask, long buffer) {
    return (int) INVOKER.invokeL5(C5, this.statx, directoryFd, path, flags, mask, buffer);
  }

  @Override
  public int memfd_create(long name, int flags) {
    return (int) INVOKER.invokeL2(C2, this.memfd_create, name, flags);
  }

  @Override
  public long mmap(long address, long length, int protection, int flags, int fd, long offset) {
    return INVOKER.invokeL6(C6, this.mmap, address, length, protection, flags, fd, offset);
  }

  @Override
  public int munmap(long address, long length) {
    return (int) INVOKER.invokeL2(C2, this.munmap, address, length);
  }

  @Override
  public int mprotect(long address, long length, int protection) {
    return (int) INVOKER.invokeL3(C3, this.mprotect, address, length, protection);
  }

  @Override
  public int madvise(long address, long length, int advice) {
    return (int) INVOKER.invokeL3(C3, this.madvise, address, length, advice);
  }

  @Override
  public int eventfd(int initialValue, int flags) {
    return (int) INVOKER.invokeL2(C2, this.eventfd, initialValue, flags);
  }

  @Override
  public int eventfd_read(int fd, long value) {
    return (int) INVOKER.invokeL2(C2, this.eventfd_read, fd, value);
  }

  @Override
  public int eventfd_write(int fd, long value) {
    return (int) INVOKER.invokeL2(C2, this.eventfd_write, fd, value);
  }

  @Override
  public int epoll_create1(int flags) {
    return (int) INVOKER.invokeL1(C1, this.epoll_create1, flags);
  }

  @Override
  public int epoll_ctl(int epollFd, int operation, int fd, long event) {
    return (int) INVOKER.invokeL4(C4, this.epoll_ctl, epollFd, operation, fd, event);
  }

  @Override
  public int epoll_wait(int epollFd, long events, int maxEvents, int timeoutMillis) {
    return (int) INVOKER.invokeL4(C4, this.epoll_wait, epollFd, events, maxEvents, timeoutMillis);
  }

  @Override
  public int poll(long pollFds, long count, int timeoutMillis) {
    return (int) INVOKER.invokeL3(C3, this.poll, pollFds, count, timeoutMillis);
  }

  @Override
  public int ppoll(long pollFds, long count, long timeout, long signalMask) {
    return (int) INVOKER.invokeL4(C4, this.ppoll, pollFds, count, timeout, signalMask);
  }

  @Override
  public int socket(int domain, int type, int protocol) {
    return (int) INVOKER.invokeL3(C3, this.socket, domain, type, protocol);
  }

  @Override
  public int socketpair(int domain, int type, int protocol, long pair) {
    return (int) INVOKER.invokeL4(C4, this.socketpair, domain, type, protocol, pair);
  }

  @Override
  public int bind(int fd, long address, int addressLength) {
    return (int) INVOKER.invokeL3(C3, this.bind, fd, address, addressLength);
  }

  @Override
  public int listen(int fd, int backlog) {
    return (int) INVOKER.invokeL2(C2, this.listen, fd, backlog);
  }

  @Override
  public int accept4(int fd, long address, long addressLength, int flags) {
    return (int) INVOKER.invokeL4(C4, this.accept4, fd, address, addressLength, flags);
  }

  @Override
  public int connect(int fd, long address, int addressLength) {
    return (int) INVOKER.invokeL3(C3, this.connect, fd, address, addressLength);
  }

  @Override
  public int shutdown(int fd, int how) {
    return (int) INVOKER.invokeL2(C2, this.shutdown, fd, how);
  }

  @Override
  public int getsockopt(int fd, int level, int option, long value, long length) {
    return (int) INVOKER.invokeL5(C5, this.getsockopt, fd, level, option, value, length);
  }

  @Override
  public long sendmsg(int fd, long message, int flags) {
    return INVOKER.invokeL3(C3, this.sendmsg, fd, message, flags);
  }

  @Override
  public long recvmsg(int fd, long message, int flags) {
    return INVOKER.invokeL3(C3, this.recvmsg, fd, message, flags);
  }

  @Override
  public long getrandom(long buffer, long length, int flags) {
    return INVOKER.invokeL3(C3, this.getrandom, buffer, length, flags);
  }

  @Override
  public int getpid() {
    return (int) INVOKER.invokeL0(C0, this.getpid);
  }

  @Override
  public int gettid() {
    return (int) INVOKER.invokeL0(C0, this.gettid);
  }

  @Override
  public int kill(int pid, int signal) {
    return (int) INVOKER.invokeL2(C2, this.kill, pid, signal);
  }

  @Override
  public int tgkill(int processId, int threadId, int signal) {
    return (int) INVOKER.invokeL3(C3, this.tgkill, processId, threadId, signal);
  }

  @Override
  public int waitid(int idType, int id, long signalInfo, int options) {
    return (int) INVOKER.invokeL4(C4, this.waitid, idType, id, signalInfo, options);
  }

  @Override
  public int pthread_sigmask(int how, long set, long oldSet) {
    return (int) INVOKER.invokeL3(C3, this.pthread_sigmask, how, set, oldSet);
  }

  @Override
  public int sigtimedwait(long set, long signalInfo, long timeout) {
    return (int) INVOKER.invokeL3(C3, this.sigtimedwait, set, signalInfo, timeout);
  }

  @Override
  public int prctl(int option, long argument2, long argument3, long argument4, long argument5) {
    return (int)
        INVOKER.invokeL5(C5, this.prctl, option, argument2, argument3, argument4, argument5);
  }

  @Override
  public long syscall(long number, long a, long b, long c, long d, long e) {
    return INVOKER.invokeL6(C6, this.syscall, number, a, b, c, d, e);
  }

  @Override
  public int posix_spawn(
      long pid, long path, long fileActions, long attributes, long argv, long environment) {
    return (int)
        INVOKER.invokeL6(
            C6, this.posix_spawn, pid, path, fileActions, attributes, argv, environment);
  }

  @Override
  public int posix_spawn_file_actions_init(long fileActions) {
    return (int) INVOKER.invokeL1(C1, this.posix_spawn_file_actions_init, fileActions);
  }

  @Override
  public int posix_spawn_file_actions_destroy(long fileActions) {
    return (int) INVOKER.invokeL1(C1, this.posix_spawn_file_actions_destroy, fileActions);
  }

  @Override
  public int posix_spawn_file_actions_addopen(
      long fileActions, int fd, long path, int flags, int mode) {
    return (int)
        INVOKER.invokeL5(
            C5, this.posix_spawn_file_actions_addopen, fileActions, fd, path, flags, mode);
  }

  @Override
  public int posix_spawn_file_actions_adddup2(long fileActions, int fd, int newFd) {
    return (int)
        INVOKER.invokeL3(C3, this.posix_spawn_file_actions_adddup2, fileActions, fd, newFd);
  }

  @Override
  public int posix_spawn_file_actions_addchdir_np(long fileActions, long path) {
    return (int) INVOKER.invokeL2(C2, this.posix_spawn_file_actions_addchdir_np, fileActions, path);
  }

  @Override
  public int posix_spawn_file_actions_addclosefrom_np(long fileActions, int from) {
    return (int)
        INVOKER.invokeL2(C2, this.posix_spawn_file_actions_addclosefrom_np, fileActions, from);
  }

  @Override
  public int posix_spawnattr_init(long attributes) {
    return (int) INVOKER.invokeL1(C1, this.posix_spawnattr_init, attributes);
  }

  @Override
  public int posix_spawnattr_destroy(long attributes) {
    return (int) INVOKER.invokeL1(C1, this.posix_spawnattr_destroy, attributes);
  }

  @Override
  public int posix_spawnattr_setflags(long attributes, int flags) {
    return (int) INVOKER.invokeL2(C2, this.posix_spawnattr_setflags, attributes, flags);
  }

  @Override
  public int posix_spawnattr_setsigmask(long attributes, long set) {
    return (int) INVOKER.invokeL2(C2, this.posix_spawnattr_setsigmask, attributes, set);
  }

  @Override
  public int posix_spawnattr_setsigdefault(long attributes, long set) {
    return (int) INVOKER.invokeL2(C2, this.posix_spawnattr_setsigdefault, attributes, set);
  }
}

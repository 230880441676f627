package dev.vireo.fuzz;

import static java.util.Objects.requireNonNull;

import dev.vireo.linux.Errno;
import dev.vireo.linux.EventFd;
import dev.vireo.linux.Fd;
import dev.vireo.linux.Libc;
import dev.vireo.linux.Linux;
import dev.vireo.linux.LinuxException;
import dev.vireo.vmm.memory.HotplugRegion;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Proxy;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * The host behind a device: a disk in memory, random numbers that are the same each time, and calls
 * that fail when they are told to. They fail for real: what the kernel is asked for cannot be done.
 * An operation that an io_uring is given counts as a call, and fails as one.
 */
final class Host implements AutoCloseable {
  static final int DISK_BYTES = 64 * 512;

  private static final int POLLIN = 1;

  /** What can go wrong with a call. */
  enum Fault {
    BAD_DESCRIPTOR,
    /** ENOSPC, for what writes. */
    NO_SPACE,
    END_OF_FILE,
    /** Less is transferred than was asked for. */
    SHORT,
    /**
     * It takes until {@link #release}, as all after it do. For operations of an io_uring: who makes
     * another call has nothing else under way.
     */
    HELD;

    static final List<Fault> ALL = List.of(values());
  }

  private final Fd disk = Fd.memory("disk", DISK_BYTES);
  private final Fd full = Fd.open("/dev/full", Fd.O_RDWR);
  private final byte[] content = new byte[DISK_BYTES];
  private final Sleepers sleepers = Sleepers.installed();
  private final EventFd gate = EventFd.nonBlocking();
  private final Libc libc;
  private boolean written;
  private int callsToFault;
  private Fault fault = Fault.SHORT;
  private boolean holding;
  private boolean gateIsOpen;
  private int random;
  private @Nullable HostNetwork network;
  private @Nullable HostProcesses processes;
  private @Nullable HostClients clients;

  Host() {
    for (int i = 0; i < DISK_BYTES; i++) {
      content[i] = (byte) (i * 31 + i / 512);
    }
    Libc real = Linux.libc();
    libc =
        (Libc)
            Proxy.newProxyInstance(
                Libc.class.getClassLoader(),
                new Class<?>[] {Libc.class},
                (proxy, method, arguments) -> {
                  String name = method.getName();
                  Fault now = null;
                  if (name.equals("syscall")) {
                    spoilOperations(arguments);
                  } else {
                    now = nextFault();
                  }
                  if (now == Fault.END_OF_FILE && method.getReturnType() == long.class) {
                    return 0L;
                  }
                  if (name.equals("getrandom")) {
                    return random((long) arguments[0], now == null ? (long) arguments[1] : 1);
                  }
                  if (name.startsWith("pwrite") || name.equals("fallocate")) {
                    noteWrite();
                  }
                  if (now != null) {
                    spoil(now, name, arguments);
                  }
                  try {
                    return method.invoke(real, arguments);
                  } catch (InvocationTargetException e) {
                    throw e.getCause();
                  }
                });
    written = true;
    restore();
  }

  /** The same as at first, unless it {@link #isSpent}. */
  void restore() {
    restoreCalls();
    if (network != null) {
      network.restore();
    }
    if (processes != null) {
      processes.restore();
    }
  }

  private synchronized void restoreCalls() {
    callsToFault = 0;
    release();
    random = 1;
    if (written) {
      disk.writeFully(content, 0);
      written = false;
    }
  }

  /** Something is gone for good: this host, and who uses it, is of no more use. */
  boolean isSpent() {
    return network != null && network.isDeleted();
  }

  /** What is to go wrong with the call that is made now, which nothing holds. */
  synchronized @Nullable Fault nextFault() {
    return fault != Fault.HELD && isDue() ? fault : null;
  }

  /** The call after {@code calls} others will fail. */
  synchronized void failAfter(int calls, Fault how) {
    callsToFault = calls + 1;
    fault = how;
  }

  /** Calls that were to fail will not. */
  synchronized void heal() {
    callsToFault = 0;
    release();
  }

  /** What is held goes on, and what was to be held is not. */
  synchronized void release() {
    if (fault == Fault.HELD) {
      callsToFault = 0;
    }
    if (holding) {
      holding = false;
      gateIsOpen = true;
      gate.signal();
    }
  }

  /** The device is at rest: whatever was released has noticed. */
  synchronized void rested() {
    if (gateIsOpen && !holding) {
      gateIsOpen = false;
      boolean ignored = gate.drain();
    }
  }

  private boolean isDue() {
    return callsToFault > 0 && --callsToFault == 0;
  }

  /** The same of an operation. */
  private synchronized @Nullable Fault nextFaultOfOperation() {
    if (holding) {
      return Fault.HELD;
    }
    if (!isDue()) {
      return null;
    }
    holding = fault == Fault.HELD;
    return fault;
  }

  private synchronized void noteWrite() {
    written = true;
  }

  private void spoil(Fault now, String name, Object[] arguments) {
    switch (now) {
      case BAD_DESCRIPTOR -> arguments[0] = -1;
      case NO_SPACE -> arguments[0] = name.startsWith("pwrite") ? full.number() : -1;
      case SHORT -> {
        if (name.equals("pread") || name.equals("pwrite")) {
          arguments[2] = 1L;
        } else if (name.equals("preadv") || name.equals("pwritev")) {
          arguments[2] = 1;
        }
      }
      case END_OF_FILE, HELD -> {} // The caller has seen to it.
    }
  }

  /** Those that an io_uring is about to be given. */
  private void spoilOperations(Object[] call) {
    if ((long) call[0] != WatchedRing.SYS_ENTER) {
      return;
    }
    WatchedRing ring = requireNonNull(sleepers.ring((int) (long) call[1]), "an unknown ring");
    for (int i = 0; i < (int) (long) call[2]; i++) {
      MemorySegment entry = ring.newEntry(i);
      if (!ring.isWait(entry)) {
        spoilOperation(entry);
      }
    }
  }

  private void spoilOperation(MemorySegment entry) {
    int opcode = entry.get(ValueLayout.JAVA_BYTE, WatchedRing.SQE_OPCODE);
    boolean writes = opcode == WatchedRing.OP_WRITE || opcode == WatchedRing.OP_WRITEV;
    boolean reads = opcode == WatchedRing.OP_READ || opcode == WatchedRing.OP_READV;
    if (writes) {
      noteWrite();
    }
    Fault now = nextFaultOfOperation();
    if (now == null) {
      return;
    }
    switch (now) {
      case BAD_DESCRIPTOR -> entry.set(ValueLayout.JAVA_INT, WatchedRing.SQE_FD, -1);
      case NO_SPACE ->
          entry.set(ValueLayout.JAVA_INT, WatchedRing.SQE_FD, writes ? full.number() : -1);
      case SHORT -> {
        if (reads || writes) { // A byte, or a range.
          entry.set(ValueLayout.JAVA_INT, WatchedRing.SQE_LENGTH, 1);
        }
      }
      case END_OF_FILE -> {
        if (reads || writes) {
          entry.set(ValueLayout.JAVA_INT, WatchedRing.SQE_LENGTH, 0);
        }
      }
      case HELD -> hold(entry);
    }
  }

  /** Waits for the gate instead. The result of that is 1: a byte that has gone on ahead. */
  private void hold(MemorySegment entry) {
    entry.set(ValueLayout.JAVA_BYTE, WatchedRing.SQE_OPCODE, (byte) WatchedRing.OP_POLL_ADD);
    entry.set(ValueLayout.JAVA_INT, WatchedRing.SQE_FD, gate.fd().number());
    entry.set(ValueLayout.JAVA_LONG, WatchedRing.SQE_OFFSET, 0);
    entry.set(ValueLayout.JAVA_LONG, WatchedRing.SQE_ADDRESS, 0);
    entry.set(ValueLayout.JAVA_INT, WatchedRing.SQE_LENGTH, 0);
    entry.set(ValueLayout.JAVA_INT, WatchedRing.SQE_FLAGS, POLLIN);
  }

  private synchronized long random(long address, long length) {
    MemorySegment target = MemorySegment.ofAddress(address).reinterpret(length);
    for (long i = 0; i < length; i++) {
      random = random * 1_103_515_245 + 12_345;
      target.set(ValueLayout.JAVA_BYTE, i, (byte) (random >>> 16));
    }
    return length;
  }

  /** What a back end is to call. */
  Libc libc() {
    return libc;
  }

  /** Memory that is plugged, of which there is enough but where a call is to fail. */
  HotplugRegion.Host blocks() {
    return new HotplugRegion.Host() {
      @Override
      public void plug(long offset, long bytes) {
        failIfDue();
      }

      @Override
      public void unplug(long offset, long bytes) {
        failIfDue();
      }

      private void failIfDue() {
        if (nextFault() != null) {
          throw new LinuxException("plugging", Errno.ENOMEM);
        }
      }

      @Override
      public long failures() {
        return 0;
      }
    };
  }

  /** Of a device that wants it; made when it is first asked for. */
  HostNetwork network() {
    if (network == null) {
      network = new HostNetwork(this);
    }
    return network;
  }

  /** Of a device that wants them, likewise. */
  HostProcesses processes() {
    if (processes == null) {
      processes = new HostProcesses();
    }
    return processes;
  }

  /** Likewise. */
  HostClients clients() {
    if (clients == null) {
      clients = new HostClients();
    }
    return clients;
  }

  /** The disk's file; a device closes it. */
  Fd disk() {
    return disk.duplicate();
  }

  @Override
  public void close() {
    disk.close();
    full.close();
    gate.close();
    if (network != null) {
      network.close();
    }
    if (processes != null) {
      processes.close();
    }
    if (clients != null) {
      clients.close();
    }
  }
}

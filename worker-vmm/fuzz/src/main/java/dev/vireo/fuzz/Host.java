package dev.vireo.fuzz;

import dev.vireo.linux.Errno;
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
 */
final class Host implements AutoCloseable {
  static final int DISK_BYTES = 64 * 512;

  /** What can go wrong with a call. */
  enum Fault {
    BAD_DESCRIPTOR,
    /** ENOSPC, for what writes. */
    NO_SPACE,
    END_OF_FILE,
    /** Less is transferred than was asked for. */
    SHORT;

    static final List<Fault> ALL = List.of(values());
  }

  private final Fd disk = Fd.memory("disk", DISK_BYTES);
  private final Fd full = Fd.open("/dev/full", Fd.O_RDWR);
  private final byte[] content = new byte[DISK_BYTES];
  private final Libc libc;
  private boolean written;
  private int callsToFault;
  private Fault fault = Fault.SHORT;
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
                  boolean faulty = isFaulty();
                  if (faulty && fault == Fault.END_OF_FILE && !name.equals("fdatasync")) {
                    return 0L;
                  }
                  if (name.equals("getrandom")) {
                    return random((long) arguments[0], faulty ? 1 : (long) arguments[1]);
                  }
                  if (name.startsWith("pwrite")) {
                    written = true;
                  }
                  if (faulty) {
                    spoil(name, arguments);
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

  /** What is to go wrong with the call that is made now. */
  synchronized @Nullable Fault nextFault() {
    return isFaulty() ? fault : null;
  }

  /** The call after {@code calls} others will fail. */
  synchronized void failAfter(int calls, Fault how) {
    callsToFault = calls + 1;
    fault = how;
  }

  /** Calls that were to fail will not. */
  synchronized void heal() {
    callsToFault = 0;
  }

  private synchronized boolean isFaulty() {
    return callsToFault > 0 && --callsToFault == 0;
  }

  private void spoil(String name, Object[] arguments) {
    switch (fault) {
      case BAD_DESCRIPTOR -> arguments[0] = -1;
      case NO_SPACE -> arguments[0] = name.startsWith("pwrite") ? full.number() : -1;
      case SHORT -> {
        if (name.equals("pread") || name.equals("pwrite")) {
          arguments[2] = 1L;
        } else if (name.equals("preadv") || name.equals("pwritev")) {
          arguments[2] = 1;
        }
      }
      case END_OF_FILE -> {} // The caller has seen to it.
    }
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

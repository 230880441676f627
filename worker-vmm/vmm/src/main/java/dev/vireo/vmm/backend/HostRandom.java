package dev.vireo.vmm.backend;

import dev.vireo.linux.Errno;
import dev.vireo.linux.Libc;
import dev.vireo.linux.Linux;
import dev.vireo.vmm.memory.IoVector;

/**
 * Random numbers of the host's kernel, written straight into guest memory ({@code getrandom(2)}).
 * They are as good as those of {@code /dev/urandom}, and need no descriptor.
 */
public final class HostRandom {
  private final Libc libc;

  public HostRandom() {
    this(Linux.libc());
  }

  /** As above, with the system calls made by {@code libc}. */
  public HostRandom(Libc libc) {
    this.libc = libc;
  }

  /**
   * Fills {@code vector} from its start. A signal or an error may end it early: what was filled is
   * taken away from the vector, what is left in it was not.
   */
  public void fill(IoVector vector) {
    while (vector.bytes() > 0) {
      long count = libc.getrandom(vector.firstAddress(), vector.firstLength(), 0);
      if (count > 0) {
        vector.skip(count);
      } else if (count == 0 || Linux.errno() != Errno.EINTR) {
        return;
      }
    }
  }
}

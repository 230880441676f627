package dev.vireo.worker.microvm;

import dev.vireo.linux.Errno;
import dev.vireo.linux.Fd;
import dev.vireo.linux.LinuxException;
import dev.vireo.proto.vmm.v1.VmmRequest;
import dev.vireo.proto.vmm.v1.VsockDial;
import dev.vireo.proto.vmm.v1.VsockDialed;
import dev.vireo.worker.boot.VsockSocket;
import dev.vireo.worker.time.Time;
import dev.vireo.worker.vmm.Vmm;
import java.lang.System.Logger.Level;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.Executor;
import org.jspecify.annotations.Nullable;

/**
 * Connects a guest to the processes that serve its ports on this node, and hands the connections to
 * its VMM. All of it runs in the microVM's mailbox, and nothing waits there: a listener whose
 * backlog is full is asked again in a while.
 */
final class VsockDials {
  private static final System.Logger LOG = System.getLogger("microvm");

  private static final Duration AGAIN_AFTER = Duration.ofMillis(10);

  /** Together a second: Linux gives up a connect of its own after two. */
  private static final int MOST_TRIES = 100;

  /** A VMM asks for no more at once; one that does is not itself. */
  private static final int MOST_WAITING = 64;

  private final VsockSocket socket;
  private final Time time;
  private final Executor mailbox;
  private int waiting;

  VsockDials(VsockSocket socket, Time time, Executor mailbox) {
    this.socket = socket;
    this.time = time;
    this.mailbox = mailbox;
  }

  void dial(Vmm vmm, VsockDial dial) {
    dial(vmm, dial, 1);
  }

  private void dial(Vmm vmm, VsockDial dial, int attempt) {
    try (Fd connection = socket.connect(dial.getPort())) {
      answer(vmm, dial, connection);
    } catch (LinuxException e) {
      if (e.errno() == Errno.EAGAIN && attempt < MOST_TRIES && waiting < MOST_WAITING) {
        waiting++;
        var _ = time.after(AGAIN_AFTER, () -> mailbox.execute(() -> again(vmm, dial, attempt + 1)));
      } else {
        LOG.log(Level.DEBUG, "{0}: {1}", vmm, e.getMessage());
        answer(vmm, dial, null);
      }
    }
  }

  private void again(Vmm vmm, VsockDial dial, int attempt) {
    waiting--;
    dial(vmm, dial, attempt);
  }

  private static void answer(Vmm vmm, VsockDial dial, @Nullable Fd connection) {
    VsockDialed.Builder answer = VsockDialed.newBuilder().setKey(dial.getKey());
    if (connection != null) {
      answer.setConnectionFd(0);
    }
    var _ =
        vmm.request(
            VmmRequest.newBuilder().setVsockDialed(answer),
            connection == null ? List.of() : List.of(connection));
  }
}

package dev.vireo.worker.vmm;

import dev.vireo.linux.Fd;
import dev.vireo.proto.vmm.v1.VmmRequest;
import dev.vireo.proto.vmm.v1.VmmResponse;
import dev.vireo.worker.cgroup.Limits;
import java.io.IOException;
import java.util.List;
import java.util.concurrent.CompletableFuture;

/** A VMM process, alive or just ended, as its owner sees it. Thread-safe. */
public interface Vmm {
  /** Names its directory; random, never used again. */
  String id();

  /** Of the process. */
  int pid();

  /**
   * From now on what happens goes to this listener alone. What came while nobody listened is told
   * at once, and so is an end that came before.
   */
  void listen(VmmListener listener);

  /**
   * Writes down to which microVM the process is about to be given.
   *
   * @return the file for its last words, open; the caller closes it
   */
  Fd assign(String microVmUid, long attempt) throws IOException;

  /**
   * Holds the process to these, for good.
   *
   * @throws IOException if the kernel does not take one of them
   */
  void limit(Limits limits) throws IOException;

  /**
   * Sends a request.
   *
   * @param request its id is set here
   * @param descriptors stay the caller's, who may close them when this returns
   * @return the answer; fails with {@link VmmGoneException} if the process ends before it
   */
  CompletableFuture<VmmResponse> request(VmmRequest.Builder request, List<Fd> descriptors);

  /** SIGKILL to this very process; harmless if it has ended. */
  void kill();

  /** Removes what the process leaves on disk. To be called after its end was told. */
  void remove();

  /** Ends a process that nobody wants, and then removes what it leaves. */
  default void discard() {
    listen(new RemoveWhenEnded(this, () -> {}));
    kill();
  }
}

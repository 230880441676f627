package dev.vireo.worker.container;

import java.util.concurrent.CompletableFuture;

/** What looks after the process of one container while its guest runs. */
public interface Supervision {
  /** Hears of the process, from a thread of the supervision's. */
  interface Listener {
    /** It runs. Told again when another supervision takes it over. */
    void started();

    /**
     * Its microVM is of use: it runs, and if it serves HTTP, that is there. Told again as {@link
     * #started} is.
     */
    void ready();

    /**
     * It has ended, or could not be started; all that it has printed has been written down.
     *
     * @param exitStatus 0 to 255, as shells count
     * @param how for people
     */
    void ended(int exitStatus, String how);

    /**
     * It is not run, and will not be: its node cannot.
     *
     * @param why for people
     */
    void failed(String why);
  }

  /**
   * The guest's VMM has ended: nobody is to be dialled any more.
   *
   * @return done once all that came from the guest has been written down and told
   */
  CompletableFuture<Void> drain();
}

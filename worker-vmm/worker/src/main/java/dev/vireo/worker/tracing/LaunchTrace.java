package dev.vireo.worker.tracing;

/** Is told how far one launch has come. Thread-safe; never blocks. */
public interface LaunchTrace {
  /** Of a launch that is not traced. */
  LaunchTrace NONE =
      new LaunchTrace() {
        @Override
        public void reached(Milestone milestone) {}

        @Override
        public void ended(String why) {}
      };

  /** In their order. */
  enum Milestone {
    /** What the spec names has been checked and opened. */
    FILES_OPEN,
    /** Its private disks and sockets are there. */
    DISKS_PREPARED,
    /** There is a VMM process for it. */
    VMM_TAKEN,
    /** The VM is made, and its vCPUs run. */
    RUNNING,
    /** The console has shown that the guest is ready. */
    READY
  }

  /** Any but the first time means nothing. */
  void reached(Milestone milestone);

  /** It comes no further; means nothing once it is ready. */
  void ended(String why);
}

package dev.vireo.oci;

/** Is told how far a pull is. */
interface PullProgress {
  /** For those who do not want to know. */
  PullProgress NONE =
      new PullProgress() {
        @Override
        public void begin(Phase phase, long totalBytes) {}

        @Override
        public void advance(long bytes) {}
      };

  /** What a pull does, one after the other. */
  enum Phase {
    /** Blobs come from a registry. */
    DOWNLOAD,
    /** Layers are verified and looked through. */
    READ,
    /** Layers are merged into the root file system. */
    WRITE
  }

  /** A phase begins. */
  void begin(Phase phase, long totalBytes);

  /** So much more of the phase's bytes is done. */
  void advance(long bytes);
}

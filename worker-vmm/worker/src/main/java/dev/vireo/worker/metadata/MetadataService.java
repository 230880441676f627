package dev.vireo.worker.metadata;

/** One guest's metadata service, for as long as it is open. */
@FunctionalInterface
public interface MetadataService extends AutoCloseable {
  /** That of a microVM without. */
  MetadataService NONE = () -> {};

  /** Ends it with its connections, and removes its socket. */
  @Override
  void close();
}

package dev.vireo.worker.boot;

import static dev.vireo.proto.errors.ErrorReason.FIELD_UNSUPPORTED;
import static dev.vireo.proto.errors.ErrorReason.NODE_RESOURCES_EXHAUSTED;

import dev.vireo.linux.Fd;
import dev.vireo.linux.LinuxException;
import dev.vireo.linux.MemoryMapping;
import dev.vireo.proto.v1.MicroVmSpec;
import dev.vireo.worker.node.ProcFiles;
import java.util.Optional;

/**
 * A guest's memory, and what can be plugged, which comes after it in a file. A file of it has no
 * name anywhere: the last process that has it open or mapped takes it along, however that ends.
 *
 * @param bytes that the guest has from the beginning
 * @param file empty: the VMM takes memory of its own
 * @param pageBytes of the file's pages
 */
public record OpenMemory(long bytes, Optional<Fd> file, long pageBytes) implements AutoCloseable {
  private static final String FIELD = "spec.memory_backing";
  private static final long MIB = 1 << 20;
  private static final long PAGE_BYTES = 4096;
  private static final long HUGE_PAGE_BYTES = 2 * MIB;

  /** Memory as a spec wants it. */
  static OpenMemory open(MicroVmSpec spec) throws RejectedException {
    long bytes = spec.getMemoryMib() * MIB;
    long most = mostMib(spec) * MIB;
    return switch (spec.getMemoryBacking()) {
      case MEMORY_BACKING_UNSPECIFIED, MEMORY_ANONYMOUS -> ofTheVmm(bytes);
      case MEMORY_SHARED -> new OpenMemory(bytes, Optional.of(shared(most)), PAGE_BYTES);
      case MEMORY_HUGE_PAGES ->
          new OpenMemory(bytes, Optional.of(hugePages(bytes, most)), HUGE_PAGE_BYTES);
      case UNRECOGNIZED ->
          throw new RejectedException(
              FIELD_UNSUPPORTED,
              FIELD,
              "this node's worker does not know backing " + spec.getMemoryBackingValue());
    };
  }

  /** What the guest may come to have, in MiB: what the node must have for it. */
  public static long mostMib(MicroVmSpec spec) {
    return spec.getMemoryMib() + spec.getMemoryHotplug().getMaximumMib();
  }

  /** Memory that needs no file. */
  public static OpenMemory ofTheVmm(long bytes) {
    return new OpenMemory(bytes, Optional.empty(), PAGE_BYTES);
  }

  private static Fd shared(long most) throws RejectedException {
    try {
      return Fd.sealedMemory("guest", most);
    } catch (LinuxException e) {
      throw new RejectedException(
          NODE_RESOURCES_EXHAUSTED,
          FIELD,
          "no file for %d bytes of shared memory: %s".formatted(most, e.getMessage()));
    }
  }

  /**
   * Reserved by mapping it once: a reservation is the file's and stays with it, so a guest never
   * touches a page that is not to be had. What is plugged the VMM takes when it is.
   */
  private static Fd hugePages(long bytes, long most) throws RejectedException {
    try {
      Fd file = Fd.sealedHugeMemory("guest", most);
      try {
        MemoryMapping.shared(file, 0, bytes).close();
        return file;
      } catch (LinuxException e) {
        file.close();
        throw e;
      }
    } catch (LinuxException e) {
      throw new RejectedException(
          NODE_RESOURCES_EXHAUSTED,
          FIELD,
          "%d huge pages of 2 MiB are needed and %d are free on this node (%s); sysctl -w vm.nr_hugepages=N sets N of them aside"
              .formatted(bytes / HUGE_PAGE_BYTES, ProcFiles.hugePagesFree(), e.getMessage()));
    }
  }

  @Override
  public void close() {
    file.ifPresent(Fd::close);
  }
}

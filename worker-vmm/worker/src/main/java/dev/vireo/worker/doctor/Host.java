package dev.vireo.worker.doctor;

import dev.vireo.linux.KvmProbe;
import dev.vireo.linux.LinuxException;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Optional;

/** The host, as far as the doctor looks at it. */
public interface Host {
  /** Asks {@code /dev/kvm}. */
  KvmProbe kvm() throws LinuxException;

  boolean exists(Path path);

  /** Whether this process can open it for reading and writing. */
  boolean isUsable(Path path);

  /** The program's path, if it is on PATH. */
  Optional<Path> program(String name);

  /** Why this process may not filter packets with nft, which is there; empty: it may. */
  Optional<String> whyNotFiltered(Path nft);

  /** The same of a process in a network namespace of this user's own. */
  Optional<String> whyNotFilteredInNamespace(Path nft);

  /** Why no packets are passed on, and the setting that does it; empty: they are. */
  Optional<String> whyNotForwarded() throws IOException;

  /** {@code /sys/fs/cgroup} and what is below it, by file system type: v1, v2 or both. */
  String cgroups() throws IOException;

  /** Whether this process may make control groups. */
  boolean mayMakeCgroups() throws IOException;

  int cpus();

  long memoryTotalMib() throws IOException;

  long memoryAvailableMib() throws IOException;

  boolean isX86();
}

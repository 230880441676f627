package dev.vireo.worker.doctor;

import dev.vireo.linux.Fd;
import dev.vireo.linux.KvmProbe;
import dev.vireo.linux.LinuxException;
import dev.vireo.proto.v1.Architecture;
import dev.vireo.worker.cgroup.CgroupMounts;
import dev.vireo.worker.network.RoutingProbe;
import dev.vireo.worker.node.NodeFacts;
import dev.vireo.worker.node.ProcFiles;
import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Optional;
import java.util.stream.Stream;

/** The machine that this runs on. */
public final class ThisHost implements Host {
  @Override
  public KvmProbe kvm() {
    return KvmProbe.probe();
  }

  @Override
  public boolean exists(Path path) {
    return Files.exists(path);
  }

  @Override
  public boolean isUsable(Path path) {
    // Its permissions say too little: a driver may be missing behind it.
    try {
      Fd.open(path.toString(), Fd.O_RDWR | Fd.O_NONBLOCK).close();
      return true;
    } catch (LinuxException e) {
      return false;
    }
  }

  @Override
  public Optional<Path> program(String name) {
    // Programs of the administrator are not always on a user's PATH.
    String path = System.getenv().getOrDefault("PATH", "") + ":/usr/sbin:/sbin";
    return Arrays.stream(path.split(File.pathSeparator, -1))
        .filter(directory -> !directory.isEmpty())
        .map(directory -> Path.of(directory, name))
        .filter(Files::isExecutable)
        .findFirst();
  }

  @Override
  public Optional<String> whyNotFiltered(Path nft) {
    return RoutingProbe.whyNotFiltered(nft);
  }

  @Override
  public Optional<String> whyNotFilteredInNamespace(Path nft) {
    return RoutingProbe.whyNotFilteredInNamespace(nft);
  }

  @Override
  public Optional<String> whyNotForwarded() throws IOException {
    return RoutingProbe.whyNotForwarded();
  }

  @Override
  public String cgroups() throws IOException {
    boolean v1 = false;
    boolean v2 = false;
    try (Stream<String> mounts = Files.lines(Path.of("/proc/self/mounts"))) {
      for (String mount : mounts.toList()) {
        String type = mount.split(" ", -1)[2];
        v1 |= type.equals("cgroup");
        v2 |= type.equals("cgroup2");
      }
    }
    return v1 && v2 ? "hybrid" : v2 ? "v2" : v1 ? "v1" : "none";
  }

  @Override
  public boolean mayMakeCgroups() throws IOException {
    return CgroupMounts.ofThisProcess().mayBeUsed();
  }

  @Override
  public int cpus() {
    return Runtime.getRuntime().availableProcessors();
  }

  @Override
  public long memoryTotalMib() throws IOException {
    return ProcFiles.memoryTotalMib();
  }

  @Override
  public long memoryAvailableMib() throws IOException {
    return ProcFiles.memoryAvailableMib();
  }

  @Override
  public boolean isX86() {
    return NodeFacts.architecture() == Architecture.X86_64;
  }
}

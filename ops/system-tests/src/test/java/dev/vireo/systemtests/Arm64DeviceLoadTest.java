package dev.vireo.systemtests;

import dev.vireo.proto.v1.Architecture;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.extension.RegisterExtension;

/** Debian's own arm64 kernel, and all devices of its machine under load at once. */
@Tag("linux")
class Arm64DeviceLoadTest extends DeviceLoad {
  @RegisterExtension
  static final LinuxClusterExtension CLUSTER = new LinuxClusterExtension(Architecture.ARM64);

  @Override
  LinuxCluster cluster() {
    return CLUSTER.cluster();
  }

  @Override
  Architecture architecture() {
    return Architecture.ARM64;
  }
}

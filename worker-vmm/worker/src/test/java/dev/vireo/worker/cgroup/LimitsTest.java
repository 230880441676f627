package dev.vireo.worker.cgroup;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.vireo.proto.v1.MicroVmSpec;
import java.util.OptionalLong;
import org.junit.jupiter.api.Test;

/** What a spec's VMM is held to. */
class LimitsTest {
  private static final long MIB = 1 << 20;

  private static MicroVmSpec.Builder spec() {
    return MicroVmSpec.newBuilder().setVcpus(2).setMemoryMib(1024);
  }

  @Test
  void memoryIsTheGuestsWithRoomForItsVmm() {
    assertEquals((1024 + 8 + 256) * MIB, Limits.of(spec().build()).memoryBytes());
  }

  @Test
  void memoryThatMayBePluggedIsTheGuestsToo() {
    MicroVmSpec.Builder spec = spec();
    spec.getMemoryHotplugBuilder().setMaximumMib(1024);
    assertEquals((2048 + 16 + 256) * MIB, Limits.of(spec.build()).memoryBytes());
  }

  @Test
  void withoutAWordCpuTimeIsSharedByVcpus() {
    Limits limits = Limits.of(spec().build());
    assertEquals(OptionalLong.empty(), limits.cpuMilli());
    assertEquals(200, limits.cpuWeight());
    assertEquals(6400, Limits.of(spec().setVcpus(64).build()).cpuWeight());
  }

  @Test
  void whatTheSpecSaysCounts() {
    MicroVmSpec.Builder spec = spec();
    spec.getLimitsBuilder().setCpuMilli(250).setCpuWeight(7);
    Limits limits = Limits.of(spec.build());
    assertEquals(OptionalLong.of(250), limits.cpuMilli());
    assertEquals(7, limits.cpuWeight());
  }
}

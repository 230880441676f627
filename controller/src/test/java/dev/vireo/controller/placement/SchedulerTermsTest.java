package dev.vireo.controller.placement;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.vireo.proto.v1.MicroVm;
import dev.vireo.proto.v1.MicroVmSpec;
import java.util.Set;
import org.junit.jupiter.api.Test;

class SchedulerTermsTest {
  @Test
  void aSpecNeedsTheBackEndsOfItsDevices() {
    MicroVmSpec.Builder spec = MicroVmSpec.newBuilder();
    assertEquals(Set.of(), backEnds(spec));
    spec.addDisksBuilder();
    assertEquals(Set.of("blk/file"), backEnds(spec));
    spec.getDisksBuilder(0).setBackEnd("blk/io-uring");
    assertEquals(Set.of("blk/io-uring"), backEnds(spec));
    spec.getDisksBuilder(0).setBackEnd("auto");
    spec.getVsockBuilder();
    assertEquals(Set.of("blk/file", "vsock/unix"), backEnds(spec));
    spec.getEntropyBuilder();
    assertEquals(Set.of("blk/file", "vsock/unix", "rng/host"), backEnds(spec));
    spec.addNetworksBuilder();
    assertEquals(Set.of("blk/file", "net/tap", "vsock/unix", "rng/host"), backEnds(spec));
    spec.getVirtioConsoleBuilder();
    assertEquals(
        Set.of("blk/file", "net/tap", "vsock/unix", "rng/host", "console/unix"), backEnds(spec));
    spec.getMemoryHotplugBuilder();
    assertEquals(
        Set.of("blk/file", "net/tap", "vsock/unix", "rng/host", "console/unix", "mem/host"),
        backEnds(spec));
    MicroVmSpec.Builder routed = MicroVmSpec.newBuilder();
    routed.addNetworksBuilder().getRoutedBuilder();
    assertEquals(Set.of("net/tap", "net/routed"), backEnds(routed));
  }

  @Test
  void aSpecTakesWhatItMayComeToHave() {
    MicroVmSpec.Builder spec = MicroVmSpec.newBuilder().setMemoryMib(256);
    assertEquals(256, SchedulerTerms.demand(spec.build()).memoryMib());
    spec.getMemoryHotplugBuilder().setMaximumMib(1_024).setSizeMib(128);
    assertEquals(1_280, SchedulerTerms.demand(spec.build()).memoryMib());
  }

  private static Set<String> backEnds(MicroVmSpec.Builder spec) {
    return SchedulerTerms.request(MicroVm.newBuilder().setSpec(spec).build(), Set.of()).backEnds();
  }
}

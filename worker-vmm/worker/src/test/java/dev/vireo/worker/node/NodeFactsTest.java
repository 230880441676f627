package dev.vireo.worker.node;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.vireo.catalog.BackEnd;
import dev.vireo.images.ImageDirectory;
import dev.vireo.linux.KvmProbe;
import dev.vireo.proto.v1.NodeCapabilities;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class NodeFactsTest {
  @TempDir private Path store;

  private NodeFacts facts(String module, boolean hardware) {
    KvmProbe kvm =
        new KvmProbe(12, module, hardware, 1024, 32_764, true, true, true, true, true, true);
    return new NodeFacts(
        new ImageDirectory(store), kvm, BackEnd.allAvailable(), false, 2, 128, 24_000, 1_456);
  }

  @Test
  void promisesMoreCpuThanThereIsAndLessMemory() {
    assertEquals(256_000, facts("kvm_amd", true).capacity().getCpuMilli());
    assertEquals(22_544, facts("kvm_amd", true).capacity().getMemoryMib());
  }

  @Test
  void saysWhatRunsItsGuests() {
    assertEquals("svm", facts("kvm_amd", true).machine().getVirtualization());
    assertTrue(facts("kvm_intel", true).machine().getRunsLinuxGuests());
    assertEquals("pvm", facts("kvm_pvm", false).machine().getVirtualization());
    assertFalse(facts("kvm_pvm", false).machine().getRunsLinuxGuests());
    assertEquals(64, facts("kvm_pvm", false).machine().getMaxVcpus());
  }

  @Test
  void noticesImagesAsTheyCome() throws IOException {
    NodeFacts facts = facts("kvm_amd", true);
    assertEquals(0, facts.capabilities().getImagesCount());
    Path probe = Files.createDirectory(store.resolve("probe"));
    Files.writeString(probe.resolve("kernel"), "");
    Files.writeString(
        probe.resolve("image.properties"),
        """
        name=probe
        architecture=x86_64
        guest_kind=bare-metal
        announcements=cmdline
        min_memory_mib=16
        kernel=kernel
        """);
    Files.createDirectory(store.resolve("broken"));
    NodeCapabilities capabilities = facts.capabilities();
    assertEquals(1, capabilities.getImagesCount(), "the broken one is left out");
    assertEquals("probe", capabilities.getImages(0).getName());
    assertEquals("bare-metal", capabilities.getImages(0).getGuestKind());
    assertEquals(16, capabilities.getImages(0).getMinMemoryMib());
  }
}

package dev.vireo.worker.doctor;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.vireo.catalog.BackEnd;
import dev.vireo.linux.Errno;
import dev.vireo.linux.KvmProbe;
import dev.vireo.linux.LinuxException;
import dev.vireo.worker.doctor.Check.Verdict;
import java.io.IOException;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;

class DoctorTest {
  private final FakeHost host = new FakeHost();

  @Test
  void aGoodHostHasNothingToMend() throws Exception {
    Diagnosis diagnosis = Doctor.examine(host);
    for (Check check : diagnosis.checks()) {
      assertEquals(Verdict.GOOD, check.verdict(), check.toString());
    }
    assertTrue(diagnosis.canRunGuests());
    assertEquals(
        BackEnd.allAvailable().stream().map(BackEnd::qualifiedName).toList(), diagnosis.backEnds());
    assertEquals("runs", diagnosis.tiers().get("linux"));
  }

  @Test
  void whateverIsNotGoodComesWithARemedy() throws Exception {
    host.files.clear();
    host.programs.clear();
    host.memoryMib = 500;
    host.cgroups = "none";
    Diagnosis diagnosis = Doctor.examine(host);
    for (Check check : diagnosis.checks()) {
      assertEquals(check.verdict() == Verdict.GOOD, check.remedy().isEmpty(), check.toString());
    }
    assertFalse(diagnosis.canRunGuests());
    assertEquals(List.of(), diagnosis.backEnds());
    assertTrue(diagnosis.tiers().getOrDefault("kvm", "").startsWith("cannot run: no usable KVM"));
    assertEquals("cannot run: no usable KVM", diagnosis.tiers().get("fault"));
    assertTrue(diagnosis.tiers().getOrDefault("linux", "").startsWith("cannot run"));
    assertEquals("runs", diagnosis.tiers().get("unit"));
  }

  @Test
  void aKvmWithoutHardwareRunsLinuxOnTheEmulatedNode() throws Exception {
    host.probe = probe("kvm_pvm", false, true);
    Diagnosis diagnosis = Doctor.examine(host);
    assertEquals(Verdict.LIMITED, verdict(diagnosis, "linux-guests"));
    assertTrue(diagnosis.canRunGuests());
    assertEquals("runs", diagnosis.tiers().get("kvm"));
    assertEquals("runs on the emulated node, slowly", diagnosis.tiers().get("linux"));
  }

  @Test
  void aHostWithoutKvmTestsItOnTheEmulatedNode() throws Exception {
    host.files.remove("/dev/kvm");
    Diagnosis diagnosis = Doctor.examine(host);
    assertFalse(diagnosis.canRunGuests());
    assertEquals("runs on the emulated node, slowly", diagnosis.tiers().get("kvm"));
    assertEquals("cannot run: no usable KVM", diagnosis.tiers().get("fault"));
  }

  @Test
  void aHostWithoutTunHasNoTapNetworks() throws Exception {
    host.files.remove("/dev/net/tun");
    Diagnosis diagnosis = Doctor.examine(host);
    assertEquals(Verdict.LIMITED, verdict(diagnosis, "tun"));
    assertFalse(diagnosis.backEnds().contains("net/tap"));
    assertTrue(diagnosis.canRunGuests());
  }

  @Test
  void aHostWithoutControlGroupsCannotHoldMicroVmsToLimits() throws Exception {
    host.cgroups = "none";
    Diagnosis diagnosis = Doctor.examine(host);
    assertEquals(Verdict.LIMITED, verdict(diagnosis, "cgroups"));
    assertTrue(diagnosis.toText().contains("→ To hold microVMs to their limits: mount"));
    assertTrue(diagnosis.canRunGuests());
  }

  @Test
  void aHostThatForwardsNothingSaysWhichSettingDoes() throws Exception {
    host.whyNotForwarded = Optional.of("net.ipv4.conf.eth0.forwarding");
    Diagnosis diagnosis = Doctor.examine(host);
    assertEquals(Verdict.LIMITED, verdict(diagnosis, "forwarding"));
    assertTrue(
        check(diagnosis, "forwarding")
            .remedy()
            .contains("sysctl -w net.ipv4.conf.eth0.forwarding=1"));
    assertTrue(diagnosis.backEnds().contains("net/routed"));
  }

  @Test
  void aUserWhoMayNotFilterHasRoutedNetworksByPasta() throws Exception {
    host.whyNotFiltered = Optional.of("nft: Operation not permitted");
    host.whyNotForwarded = Optional.of("net.ipv4.conf.eth0.forwarding");
    Diagnosis without = Doctor.examine(host);
    assertEquals(Verdict.GOOD, verdict(without, "nft"));
    assertEquals("pasta is not installed", check(without, "passt").finding());
    assertTrue(check(without, "passt").remedy().contains("apt-get install passt"));
    assertFalse(without.backEnds().contains("net/routed"));
    assertTrue(without.backEnds().contains("net/tap"));

    host.programs.add("pasta");
    Diagnosis with = Doctor.examine(host);
    assertTrue(with.backEnds().contains("net/routed"));
    assertTrue(
        with.checks().stream().allMatch(check -> check.verdict() == Verdict.GOOD),
        "the node's own forwarding does not matter: " + with.toText());
  }

  @Test
  void aUserWhoMayHaveNoNamespaceHasNoRoutedNetworks() throws Exception {
    host.programs.add("pasta");
    host.whyNotFiltered = Optional.of("nft: Operation not permitted");
    host.whyNotFilteredInNamespace = Optional.of("nft: unshare failed");
    Diagnosis diagnosis = Doctor.examine(host);
    assertEquals(
        "nft: Operation not permitted; in a network namespace of this user's own: nft: unshare"
            + " failed",
        check(diagnosis, "nft").finding());
    assertFalse(diagnosis.backEnds().contains("net/routed"));
  }

  @Test
  void aUserWhoMayMakeNoControlGroupsIsToldWhatForTheyAre() throws Exception {
    host.mayMakeCgroups = false;
    Check cgroups = check(Doctor.examine(host), "cgroups");
    assertEquals("v2, in which this user may make none", cgroups.finding());
    assertEquals(Verdict.LIMITED, cgroups.verdict());
  }

  @Test
  void aKvmThatMayNotBeOpenedIsAMatterOfItsGroup() throws Exception {
    host.probe = null;
    host.errno = Errno.EACCES;
    Check kvm = check(Doctor.examine(host), "kvm");
    assertEquals(Verdict.BAD, kvm.verdict());
    assertTrue(kvm.remedy().contains("usermod -aG kvm"), kvm.remedy());
  }

  @Test
  void aKvmThatLacksAnEssentialIsOfNoUse() throws Exception {
    host.probe = probe("kvm_intel", true, false);
    Diagnosis diagnosis = Doctor.examine(host);
    assertFalse(diagnosis.canRunGuests());
    assertTrue(check(diagnosis, "kvm-capabilities").finding().contains("lacks ioeventfd"));
  }

  @Test
  void tellsPeopleAndScriptsTheSame() throws Exception {
    host.cgroups = "odd \"quoted\"\n";
    Diagnosis diagnosis = Doctor.examine(host);
    assertTrue(diagnosis.toText().contains("ok       cgroups"));
    assertTrue(diagnosis.toJson().contains("\"finding\": \"odd \\\"quoted\\\"\\n\""));
    assertTrue(diagnosis.toJson().contains("\"canRunGuests\": true"));
  }

  private static Verdict verdict(Diagnosis diagnosis, String name) {
    return check(diagnosis, name).verdict();
  }

  private static Check check(Diagnosis diagnosis, String name) {
    return diagnosis.checks().stream().filter(c -> c.name().equals(name)).findFirst().orElseThrow();
  }

  private static KvmProbe probe(String module, boolean hardware, boolean ioeventfd) {
    return new KvmProbe(
        12, module, hardware, 1024, 32_764, true, true, true, ioeventfd, true, true);
  }

  private static final class FakeHost implements Host {
    private @Nullable KvmProbe probe = probe("kvm_intel", true, true);
    private int errno;
    private long memoryMib = 16_000;
    private String cgroups = "v2";
    private final Set<String> files =
        new HashSet<>(Set.of("/dev/kvm", "/dev/net/tun", "/dev/vhost-net", "/dev/vhost-vsock"));
    private final Set<String> programs =
        new HashSet<>(Set.of("qemu-system-x86_64", "mke2fs", "gcc", "nft"));
    private Optional<String> whyNotFiltered = Optional.empty();
    private Optional<String> whyNotFilteredInNamespace = Optional.empty();
    private Optional<String> whyNotForwarded = Optional.empty();
    private boolean mayMakeCgroups = true;

    @Override
    public KvmProbe kvm() {
      if (probe == null) {
        throw new LinuxException("open /dev/kvm", errno);
      }
      return probe;
    }

    @Override
    public boolean exists(Path path) {
      return files.contains(path.toString());
    }

    @Override
    public boolean isUsable(Path path) {
      return exists(path);
    }

    @Override
    public Optional<Path> program(String name) {
      return programs.contains(name) ? Optional.of(Path.of("/usr/bin", name)) : Optional.empty();
    }

    @Override
    public Optional<String> whyNotFiltered(Path nft) {
      return whyNotFiltered;
    }

    @Override
    public Optional<String> whyNotFilteredInNamespace(Path nft) {
      return whyNotFilteredInNamespace;
    }

    @Override
    public Optional<String> whyNotForwarded() {
      return whyNotForwarded;
    }

    @Override
    public String cgroups() throws IOException {
      return cgroups;
    }

    @Override
    public boolean mayMakeCgroups() {
      return mayMakeCgroups;
    }

    @Override
    public int cpus() {
      return 8;
    }

    @Override
    public long memoryTotalMib() {
      return memoryMib;
    }

    @Override
    public long memoryAvailableMib() {
      return memoryMib;
    }

    @Override
    public boolean isX86() {
      return true;
    }
  }
}

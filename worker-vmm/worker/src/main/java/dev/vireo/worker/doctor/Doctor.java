package dev.vireo.worker.doctor;

import dev.vireo.catalog.BackEnd;
import dev.vireo.linux.Errno;
import dev.vireo.linux.KvmProbe;
import dev.vireo.linux.LinuxException;
import dev.vireo.worker.node.NodeFacts;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/** Looks at a host and tells what Vireo can do on it. */
public final class Doctor {
  private static final Path KVM = Path.of("/dev/kvm");
  private static final String INSTALL = "apt-get install ";
  private static final long LEAST_MEMORY_MIB = 2048;
  private static final String EMULATED = "runs on the emulated node, slowly";

  private final Host host;
  private final List<Check> checks = new ArrayList<>();

  private Doctor(Host host) {
    this.host = host;
  }

  /** What the host can do, check by check and in sum. */
  public static Diagnosis examine(Host host) throws IOException {
    return new Doctor(host).examine();
  }

  private Diagnosis examine() throws IOException {
    Optional<KvmProbe> kvm = kvm();
    kvm.ifPresent(this::virtualization);
    kvm.ifPresent(this::capabilities);
    machine();
    device("tun", Path.of("/dev/net/tun"), "modprobe tun", "the net/tap back end");
    device("vhost-net", Path.of("/dev/vhost-net"), "modprobe vhost_net", "the net/vhost back end");
    device(
        "vhost-vsock",
        Path.of("/dev/vhost-vsock"),
        "modprobe vhost_vsock",
        "the vsock/vhost back end");
    boolean routes = routing();
    cgroups();
    boolean emulator =
        program(
            "qemu",
            host.isX86() ? "qemu-system-x86_64" : "qemu-system-aarch64",
            INSTALL + (host.isX86() ? "qemu-system-x86" : "qemu-system-arm"),
            "the emulated node and side-by-side benchmarks");
    boolean ext4 = program("mke2fs", "mke2fs", INSTALL + "e2fsprogs", "building images");
    boolean compiler = program("gcc", "gcc", INSTALL + "gcc make", "the probe guest");
    return new Diagnosis(
        List.copyOf(checks),
        kvm.filter(KvmProbe::usable).isPresent()
            ? BackEnd.availableOn(file -> host.isUsable(Path.of(file))).stream()
                .filter(backEnd -> backEnd != BackEnd.NET_ROUTED || routes)
                .map(BackEnd::qualifiedName)
                .toList()
            : List.of(),
        tiers(kvm, emulator && ext4, compiler));
  }

  private Optional<KvmProbe> kvm() {
    if (!host.exists(KVM)) {
      checks.add(
          Check.bad(
              "kvm",
              "/dev/kvm does not exist",
              "Switch on virtualization in the firmware, or nested virtualization in the cloud, and"
                  + " modprobe kvm_intel or kvm_amd; without it, use an emulated node: vireo node"
                  + " add --emulated"));
      return Optional.empty();
    }
    try {
      KvmProbe probe = host.kvm();
      checks.add(
          probe.usable()
              ? Check.good("kvm", "/dev/kvm opens, API version " + probe.apiVersion())
              : Check.bad(
                  "kvm",
                  "/dev/kvm lacks what every VMM needs (see kvm-capabilities)",
                  "Use a kernel of version 5.10 or later."));
      return Optional.of(probe);
    } catch (LinuxException e) {
      checks.add(
          Check.bad(
              "kvm",
              "/dev/kvm does not open: " + Errno.describe(e.errno()),
              e.errno() == Errno.EACCES
                  ? "Join its group: usermod -aG kvm $USER, and log in again."
                  : "See dmesg for why KVM is not ready."));
      return Optional.empty();
    }
  }

  private void virtualization(KvmProbe probe) {
    String module = probe.vendorModule().isEmpty() ? "built in" : probe.vendorModule();
    checks.add(
        probe.hardwareVirtualization()
            ? Check.good(
                "linux-guests",
                "%s (%s): hardware virtualization, unmodified Linux guests boot"
                    .formatted(module, NodeFacts.virtualization(probe)))
            : Check.limited(
                "linux-guests",
                module + ": no hardware virtualization, only bare-metal guests boot",
                "Add a node that boots Linux: vireo node add --emulated"));
  }

  private void capabilities(KvmProbe probe) {
    Map<String, Boolean> has = new LinkedHashMap<>();
    has.put("user memory", probe.userMemory());
    has.put("in-kernel irqchip", probe.irqchip());
    has.put("irqfd", probe.irqfd());
    has.put("ioeventfd", probe.ioeventfd());
    has.put("immediate exit", probe.immediateExit());
    has.put("read-only memory", probe.readOnlyMemory());
    String missing =
        has.entrySet().stream()
            .filter(capability -> !capability.getValue())
            .map(Map.Entry::getKey)
            .collect(Collectors.joining(", "));
    String limits =
        "up to %d vCPUs and %d memory slots a VM".formatted(probe.maxVcpus(), probe.memorySlots());
    String remedy = "Use a newer kernel.";
    if (missing.isEmpty()) {
      checks.add(Check.good("kvm-capabilities", String.join(", ", has.keySet()) + "; " + limits));
    } else if (probe.usable()) {
      checks.add(Check.limited("kvm-capabilities", "lacks " + missing + "; " + limits, remedy));
    } else {
      checks.add(Check.bad("kvm-capabilities", "lacks " + missing + "; " + limits, remedy));
    }
  }

  private void machine() throws IOException {
    checks.add(Check.good("cpus", Integer.toString(host.cpus())));
    String memory =
        "%d MiB, %d MiB available".formatted(host.memoryTotalMib(), host.memoryAvailableMib());
    checks.add(
        host.memoryAvailableMib() >= LEAST_MEMORY_MIB
            ? Check.good("memory", memory)
            : Check.limited(
                "memory",
                memory,
                "Free some: an emulated node alone takes %d MiB.".formatted(LEAST_MEMORY_MIB)));
  }

  private void device(String name, Path path, String load, String needed) {
    if (host.isUsable(path)) {
      checks.add(Check.good(name, path + " opens"));
    } else if (host.exists(path)) {
      checks.add(
          Check.limited(
              name, path + " may not be opened", "Run the worker as root, for " + needed + "."));
    } else {
      checks.add(Check.limited(name, path + " does not exist", "For " + needed + ": " + load));
    }
  }

  /** Whether microVMs can have routed networks. */
  private boolean routing() throws IOException {
    Optional<Path> nft = host.program("nft");
    if (nft.isEmpty()) {
      checks.add(
          Check.limited("nft", "nft is not installed", "For networks: " + INSTALL + "nftables"));
      return false;
    }
    Optional<String> problem = host.whyNotFiltered(nft.get());
    if (problem.isPresent()) {
      return rootlessRouting(nft.get(), problem.get());
    }
    checks.add(Check.good("nft", nft.get() + " may be used"));
    forwarding();
    return true;
  }

  /** In a namespace that forwards as its user says. */
  private boolean rootlessRouting(Path nft, String problem) {
    Optional<String> inNamespace = host.whyNotFilteredInNamespace(nft);
    checks.add(
        inNamespace.isEmpty()
            ? Check.good("nft", nft + " may be used in a network namespace of this user's own")
            : Check.limited(
                "nft",
                "%s; in a network namespace of this user's own: %s"
                    .formatted(problem, inNamespace.get()),
                "For networks: run the worker as root, or let users have namespaces: sysctl -w"
                    + " user.max_user_namespaces=10000, or kernel.unprivileged_userns_clone=1 where"
                    + " there is that."));
    boolean connected =
        program(
            "passt",
            "pasta",
            INSTALL + "passt",
            "networks without root, as vireo up makes them then");
    return inNamespace.isEmpty() && connected;
  }

  private void forwarding() throws IOException {
    Optional<String> forwarding = host.whyNotForwarded();
    checks.add(
        forwarding.isEmpty()
            ? Check.good("forwarding", "what comes for others is passed on")
            : Check.limited(
                "forwarding",
                "what comes for others is not passed on: " + forwarding.get(),
                "For networks with egress, or ports that others reach: sysctl -w %s=1; Vireo leaves"
                        .formatted(forwarding.get())
                    + " the node's own settings alone."));
  }

  private void cgroups() throws IOException {
    String version = host.cgroups();
    if (version.equals("none")) {
      checks.add(
          Check.limited(
              "cgroups",
              version,
              "To hold microVMs to their limits: mount -t cgroup2 cgroup2 /sys/fs/cgroup"));
    } else if (!host.mayMakeCgroups()) {
      checks.add(
          Check.limited(
              "cgroups",
              version + ", in which this user may make none",
              "To hold microVMs to their limits: run the worker as root."));
    } else {
      checks.add(Check.good("cgroups", version));
    }
  }

  private boolean program(String name, String program, String install, String needed) {
    @Nullable Path path = host.program(program).orElse(null);
    checks.add(
        path == null
            ? Check.limited(name, program + " is not installed", "For " + needed + ": " + install)
            : Check.good(name, path.toString()));
    return path != null;
  }

  private static String kvmTier(boolean usable, boolean canEmulate, boolean compiler) {
    if (!usable && !canEmulate) {
      return "cannot run: no usable KVM, and no qemu or mke2fs to emulate one";
    }
    if (!compiler) {
      return "cannot run: gcc is missing";
    }
    return usable ? "runs" : EMULATED;
  }

  private static Map<String, String> tiers(
      Optional<KvmProbe> kvm, boolean canEmulate, boolean compiler) {
    boolean usable = kvm.filter(KvmProbe::usable).isPresent();
    boolean linux = usable && kvm.filter(KvmProbe::hardwareVirtualization).isPresent();
    Map<String, String> tiers = new LinkedHashMap<>();
    tiers.put("unit", "runs");
    tiers.put("kvm", kvmTier(usable, canEmulate, compiler));
    tiers.put(
        "linux",
        linux
            ? "runs"
            : canEmulate
                ? EMULATED
                : "cannot run: no hardware virtualization, and no qemu or mke2fs to emulate it");
    // What it kills are processes of this host.
    tiers.put("fault", !usable ? "cannot run: no usable KVM" : tiers.getOrDefault("kvm", ""));
    return tiers;
  }
}

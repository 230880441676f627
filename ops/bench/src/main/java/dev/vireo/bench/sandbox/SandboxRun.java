package dev.vireo.bench.sandbox;

import com.google.gson.JsonObject;
import dev.vireo.bench.PrivateCluster;
import dev.vireo.bench.cluster.EmulatedNode;
import dev.vireo.bench.cluster.Installation;
import dev.vireo.bench.cluster.LocalCluster;
import dev.vireo.bench.sandbox.RootImages.Format;
import dev.vireo.bench.sandbox.RootImages.Root;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Consumer;

/**
 * One run of the sandbox benchmarks. Bare-metal guests run on this machine's KVM; Linux guests do
 * where that can have them, otherwise on an emulated node beside it.
 */
public final class SandboxRun {
  static final String PROBE_EXEC = "probe_exec";
  static final String VSOCK = "vsock";
  static final String NET = "net";
  static final String RUN = "run";
  static final String EXEC = "exec_ssh";
  static final String FORMATS = "root_formats";

  private static final int POOL = 1;

  private final Installation installation;
  private final SandboxPlan plan;
  private final Consumer<String> progress;
  private final Map<String, String> conditions = new LinkedHashMap<>();

  /**
   * @param only what is measured is named so or begins so; all if empty
   */
  public SandboxRun(
      Installation installation, boolean quick, String only, Consumer<String> progress) {
    this.installation = installation;
    this.plan = (quick ? SandboxPlan.QUICK : SandboxPlan.FULL).only(only);
    this.progress = progress;
  }

  public SandboxReport run() throws Exception {
    return PrivateCluster.run(installation, this::measure);
  }

  private SandboxReport measure(LocalCluster cluster) throws IOException {
    progress.accept("Starting a private controller and worker …");
    Path cache = cache();
    GuestImages.share(cache, cluster.stateDirectory().resolveSibling("cache"));
    cluster.startController();
    cluster.startWorker(POOL);
    cluster.awaitWarmVmms(POOL);

    Optional<ProbeExec.Result> probeExec = Optional.empty();
    if (plan.wants(PROBE_EXEC)) {
      progress.accept("Commands in a bare-metal guest …");
      probeExec = Optional.of(new ProbeExec(cluster).measure(plan.probeExecs()));
    }
    Optional<VsockStreams.Result> streams = Optional.empty();
    if (plan.wants(VSOCK)) {
      progress.accept("Streams by vsock …");
      streams =
          Optional.of(
              new VsockStreams(cluster, plan.streams().bytes()).measure(plan.streams().rounds()));
    }
    JsonObject devices = devices(cluster);

    Optional<FirstByte.Result> firstByte = Optional.empty();
    Optional<ExecAndSsh.Result> execAndSsh = Optional.empty();
    Map<Format, RootFormats.Result> formats = Map.of();
    if (plan.wants(RUN) || plan.wants(EXEC) || plan.wants(FORMATS)) {
      LinuxHost host = linuxHost(cluster, cache);
      conditions.put("Linux guests", host.title());
      if (plan.wants(RUN)) {
        firstByte = Optional.of(new FirstByte(cluster, progress).measure(plan.runs()));
      }
      if (plan.wants(EXEC) || plan.wants(FORMATS)) {
        progress.accept("Making root file systems …");
        List<Root> roots = new ArrayList<>();
        for (Root made : rootImages(cluster, cache)) {
          roots.add(new Root(made.format(), made.mib(), host.bring(made.file())));
        }
        RootFormats rootFormats = new RootFormats(cluster, host, plan, progress);
        if (plan.wants(EXEC)) {
          execAndSsh = Optional.of(execAndSsh(cluster, rootFormats, roots.getFirst()));
        }
        if (plan.wants(FORMATS)) {
          formats = rootFormats.measure(roots);
        }
      }
    }
    describe();
    return new SandboxReport(
        conditions, probeExec, streams, devices, firstByte, execAndSsh, formats);
  }

  private static Path cache() {
    String given = System.getenv("VIREO_CACHE_DIR");
    return given == null || given.isEmpty()
        ? Path.of(System.getProperty("user.home"), ".cache/vireo")
        : Path.of(given);
  }

  private JsonObject devices(LocalCluster cluster) throws IOException {
    JsonObject found = new JsonObject();
    DeviceMeasures devices = new DeviceMeasures(installation, cluster.processes());
    for (String name : new String[] {VSOCK, NET}) {
      if (plan.wants(name)) {
        progress.accept("vireo bench devices --only " + name + " …");
        devices.measure(name, plan.quick()).asMap().forEach(found::add);
      }
    }
    return found;
  }

  private LinuxHost linuxHost(LocalCluster cluster, Path cache) throws IOException {
    if (cluster.status().orElseThrow().getCapabilities().getRunsLinuxGuests()) {
      return new LinuxHost.Native(cache.resolve("images"));
    }
    progress.accept("Starting an emulated node …");
    return new LinuxHost.Emulated(EmulatedNode.start(installation, cluster));
  }

  private static List<Root> rootImages(LocalCluster cluster, Path cache) throws IOException {
    Path directory = Files.createDirectory(cluster.processes().directory().resolve("roots"));
    Path tree = Files.createDirectory(directory.resolve("tree"));
    DebianTree.unpack(cache.resolve("packages"), tree);
    return RootImages.make(tree, directory);
  }

  private ExecAndSsh.Result execAndSsh(LocalCluster cluster, RootFormats rootFormats, Root root)
      throws IOException {
    progress.accept("A guest to be spoken with …");
    try (LinuxGuest guest = new LinuxGuest(cluster, "spoken-with")) {
      rootFormats.boot(guest, root);
      return new ExecAndSsh(cluster, installation, plan, progress).measure(guest);
    }
  }

  private void describe() throws IOException {
    conditions.put(
        "samples",
        "%d commands in a bare-metal guest; %d × %d MiB by vsock each way; %d runs; %d commands in a"
                .formatted(
                    plan.probeExecs(),
                    plan.streams().rounds(),
                    plan.streams().bytes() >> 20,
                    plan.runs(),
                    plan.execs())
            + " Linux guest, %d connections; %d boots a format, then %d guests at once"
                .formatted(plan.connections(), plan.boots(), plan.neighbours()));
    conditions.put(
        "exec", "the call from its start to its end, by a plain gRPC client, one after the other");
    conditions.put(
        "ssh",
        "a process of OpenSSH's client for each; dropbear in the guest, by a port that Vireo"
            + " forwards; there: a ControlMaster");
    conditions.put("vsock", "QEMU has but vhost-vsock, whose host side is another: Vireo alone");
    conditions.put("load", Files.readString(Path.of("/proc/loadavg")).strip());
  }
}

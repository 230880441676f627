package dev.vireo.cli;

import static java.util.Objects.requireNonNull;

import dev.vireo.proto.v1.Announcement;
import dev.vireo.proto.v1.Architecture;
import dev.vireo.proto.v1.Balloon;
import dev.vireo.proto.v1.Boot;
import dev.vireo.proto.v1.Console;
import dev.vireo.proto.v1.ConsolePort;
import dev.vireo.proto.v1.CreateMicroVmRequest;
import dev.vireo.proto.v1.Disk;
import dev.vireo.proto.v1.Entropy;
import dev.vireo.proto.v1.Lifecycle;
import dev.vireo.proto.v1.Limits;
import dev.vireo.proto.v1.MemoryBacking;
import dev.vireo.proto.v1.MemoryHotplug;
import dev.vireo.proto.v1.MicroVm;
import dev.vireo.proto.v1.MicroVmSpec;
import dev.vireo.proto.v1.Network;
import dev.vireo.proto.v1.NodeImage;
import dev.vireo.proto.v1.RegisterPageMode;
import dev.vireo.proto.v1.ResourceMeta;
import dev.vireo.proto.v1.VirtioConsole;
import dev.vireo.proto.v1.Vmm;
import dev.vireo.proto.v1.VmmCompiler;
import dev.vireo.proto.v1.Vsock;
import io.grpc.StatusRuntimeException;
import java.math.BigDecimal;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.UUID;
import java.util.concurrent.Callable;
import java.util.concurrent.ThreadLocalRandom;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** {@code vireo run}: a spec from options, created, and if asked for, attended to its end. */
@Command(
    name = "run",
    description = "Creates a microVM.",
    footer = {
      "Examples:",
      "  vireo run --rm --image busybox -- sh -c 'echo hi; exit 7'",
      "      a container: its output here, gone at its end, its exit status this command's",
      "  vireo run --rm",
      "      a Debian guest, its console here, gone at its end",
      "  vireo run web-1 --memory 512 --cmdline vireo.run=idle --wait ready",
      "      one that stays until it is stopped; returns when it is up",
      "  vireo run job-1 --disk root=image: --disk data=/srv/data.raw,ro --ttl 1h",
      "      a second disk, read-only; deleted after an hour"
    })
final class RunCommand implements Callable<Integer> {
  /** What a create may wait for. */
  enum Wait {
    SCHEDULED,
    RUNNING,
    READY;

    @Override
    public String toString() {
      return Text.lower(this);
    }
  }

  /** What happens when a guest has ended. */
  enum Restart {
    NEVER,
    ON_FAILURE,
    ALWAYS;

    @Override
    public String toString() {
      return Text.lower(this);
    }
  }

  /** What becomes of it when it must leave its node, or loses it. */
  enum NodeLoss {
    FAIL,
    RESCHEDULE;

    @Override
    public String toString() {
      return Text.lower(this);
    }
  }

  /** How the guest learns of its devices. */
  enum AnnouncementChoice {
    AUTO,
    CMDLINE,
    ACPI,
    FDT;

    @Override
    public String toString() {
      return Text.lower(this);
    }
  }

  /** How thoroughly the VMM compiles itself. */
  enum CompilerChoice {
    AUTO,
    LEAN,
    FAST;

    @Override
    public String toString() {
      return Text.lower(this);
    }
  }

  /** How the guest reads its devices' registers. */
  enum RegisterPage {
    AUTO,
    LAZY,
    STRICT,
    CLASSIC;

    @Override
    public String toString() {
      return Text.lower(this);
    }
  }

  /** What the guest's memory is to the node. */
  enum MemoryKind {
    ANONYMOUS,
    SHARED,
    HUGE_PAGES;

    @Override
    public String toString() {
      return Text.lower(this);
    }
  }

  /** Which machine. */
  enum Arch {
    X86_64,
    ARM64;

    @Override
    public String toString() {
      return name().toLowerCase(Locale.ROOT);
    }
  }

  private static final String DEFAULT_IMAGE = "debian-12";

  /** Vireo's own, as the launcher builds them. */
  private static final Set<String> LINUX_IMAGES = Set.of(DEFAULT_IMAGE, "vireo-6.1");

  private static final String BARE_METAL_IMAGE = "probe";
  private static final String NAME_ALPHABET = "bcdfghjkmnpqrstvwxz23456789";
  private static final int NAME_LENGTH = 6;

  private final Environment environment;

  @Mixin private final ServerOptions server = new ServerOptions();
  @Mixin private final OutputOptions output = new OutputOptions();

  @Spec private @Nullable CommandSpec command;

  @Parameters(
      arity = "0..*",
      paramLabel = "[NAME] [-- COMMAND]",
      hideParamSyntax = true,
      description =
          "NAME: lower-case letters, digits and dashes; default: one is made up. COMMAND: with"
              + " --image, a program and its arguments instead of the image's.")
  private List<String> words = List.of();

  @Mixin private final ContainerOptions container = new ContainerOptions();

  @Mixin private final MetadataOptions metadata = new MetadataOptions();

  @Option(
      names = "--kernel",
      paramLabel = "IMAGE|PATH",
      description =
          "An image of the node's store, or the absolute path of a bzImage or ELF kernel on the"
              + " node. Default: debian-12; with --image the small one, vireo-6.1, if a node has it.")
  private @Nullable String kernel;

  @Option(
      names = "--arch",
      paramLabel = "ARCH",
      description = "${COMPLETION-CANDIDATES}. Default: the kernel's.")
  private @Nullable Arch architecture;

  @Option(
      names = "--vcpus",
      paramLabel = "COUNT",
      defaultValue = "1",
      description = "Default: ${DEFAULT-VALUE}.")
  private int vcpus = 1;

  @Option(
      names = "--cpu-limit",
      paramLabel = "CPUS",
      description = "The most CPU time it may take of its node, 0.01 to 64. Default: no limit.")
  private @Nullable BigDecimal cpuLimit;

  @Option(
      names = "--cpu-weight",
      paramLabel = "WEIGHT",
      description = "Its share of a busy node's CPU time, 1 to 10,000. Default: 100 for each vCPU.")
  private int cpuWeight;

  @Option(
      names = "--memory",
      paramLabel = "SIZE",
      defaultValue = "256",
      converter = Converters.Memory.class,
      description = "MiB, or with a unit: 512M, 2G. Default: ${DEFAULT-VALUE}.")
  private long memoryMib = 256;

  @Option(
      names = "--memory-backing",
      paramLabel = "KIND",
      defaultValue = "anonymous",
      description =
          "What the guest's memory is to the node: ${COMPLETION-CANDIDATES}. Default:"
              + " ${DEFAULT-VALUE}; shared can be mapped by another process, huge pages are those"
              + " that the node has set aside.")
  private MemoryKind memoryBacking = MemoryKind.ANONYMOUS;

  @Option(
      names = "--disk",
      paramLabel = Converters.DiskForm.LABEL,
      converter = Converters.DiskForm.class,
      description =
          "'image:' for a private copy of the image's root disk, or the absolute path of a raw"
              + " file or block device on the node. ro: read-only; direct: past the node's page"
              + " cache; queues=COUNT, each with a thread; rate=RATE in bytes a second (500K, 10M,"
              + " 1G); iops=COUNT a second; back-end=NAME. Repeatable, in the guest's order."
              + " Default: root=image: for Linux images.")
  private List<Disk> disks = new ArrayList<>();

  @Option(names = "--no-disk", description = "Not even the image's root disk.")
  private boolean noDisk;

  @Option(
      names = "--net",
      paramLabel = Converters.NetworkForm.LABEL,
      converter = Converters.NetworkForm.class,
      description =
          "A network: 'auto' for a tap interface that the node makes and that goes with the"
              + " microVM, or properties: tap=NAME of one that the node has, mac=ADDRESS,"
              + " queues=PAIRS, mtu=BYTES, rx=RATE and tx=RATE in bytes a second (500K, 10M, 1G),"
              + " id=ID. Repeatable.")
  private List<Network> networks = new ArrayList<>();

  @Mixin private final RoutedNetworkOptions routed = new RoutedNetworkOptions();

  @Option(
      names = "--vsock",
      description =
          "A virtio-vsock device: streams to and from the guest over unix sockets of the node,"
              + " which 'vireo get' names.")
  private boolean vsock;

  @Option(
      names = "--vsock-cid",
      paramLabel = "CID",
      converter = Converters.ContextId.class,
      description = "The guest's context id, with --vsock. Default: the node chooses.")
  private @Nullable Integer vsockCid;

  @Option(
      names = "--entropy",
      description =
          "A virtio-rng device: the guest gets random numbers of the node's kernel beside its CPU's"
              + " own.")
  private boolean entropy;

  @Option(
      names = "--balloon",
      paramLabel = Converters.BalloonForm.LABEL,
      converter = Converters.BalloonForm.class,
      description =
          "A balloon: the guest is asked to give SIZE of its memory back, which 'vireo balloon'"
              + " changes; with reporting it gives back what is free besides. 0 asks for nothing"
              + " yet.")
  private @Nullable Balloon balloon;

  @Option(
      names = "--memory-hotplug",
      paramLabel = Converters.MemoryHotplugForm.LABEL,
      converter = Converters.MemoryHotplugForm.class,
      description =
          "Memory beyond --memory, up to MAXIMUM, that the guest can be given while it runs, which"
              + " 'vireo memory' does; with size= it has some from the start. The node keeps all of"
              + " it free.")
  private @Nullable MemoryHotplug memoryHotplug;

  @Option(
      names = "--console-port",
      paramLabel = Converters.ConsolePortForm.LABEL,
      converter = Converters.ConsolePortForm.class,
      description =
          "A port of a virtio-console device: a console (/dev/hvc0), or a pipe of this name"
              + " (/dev/virtio-ports/NAME), on a unix socket of the node, which 'vireo get' names."
              + " Repeatable; the first must be a console.")
  private List<ConsolePort> consolePorts = new ArrayList<>();

  @Option(
      names = "--initramfs",
      paramLabel = "PATH",
      description = "An absolute path on the node. Default: the image's own.")
  private String initramfs = "";

  @Option(names = "--no-initramfs", description = "Not even the image's own.")
  private boolean noInitramfs;

  @Option(
      names = "--cmdline",
      paramLabel = "ARGUMENTS",
      description = "Appended to the kernel's command line.")
  private String commandLine = "";

  @Option(
      names = "--announcement",
      paramLabel = "HOW",
      defaultValue = "auto",
      description = "${COMPLETION-CANDIDATES}. Default: ${DEFAULT-VALUE}.")
  private AnnouncementChoice announcement = AnnouncementChoice.AUTO;

  @Option(
      names = "--register-page",
      paramLabel = "MODE",
      defaultValue = "auto",
      description =
          "How the guest reads device registers and acknowledges interrupts:"
              + " ${COMPLETION-CANDIDATES}. Default: ${DEFAULT-VALUE}, without exits where the node"
              + " can do it.")
  private RegisterPage registerPage = RegisterPage.AUTO;

  @Option(
      names = "--compiler",
      paramLabel = "KIND",
      defaultValue = "auto",
      description =
          "How the VMM compiles itself: ${COMPLETION-CANDIDATES}. fast: a fifth less CPU time for"
              + " each I/O of a long-lived guest, some MiB more memory, a slower start. Default: ${DEFAULT-VALUE}, which"
              + " is lean.")
  private CompilerChoice compiler = CompilerChoice.AUTO;

  @Mixin private final PlacementOptions placement = new PlacementOptions();

  @Option(
      names = {"-l", "--label"},
      paramLabel = "KEY=VALUE",
      description = "Repeatable.")
  private Map<String, String> labels = Map.of();

  @Option(
      names = "--restart",
      paramLabel = "POLICY",
      defaultValue = "never",
      description = "${COMPLETION-CANDIDATES}. Default: ${DEFAULT-VALUE}.")
  private Restart restart = Restart.NEVER;

  @Option(
      names = "--on-node-loss",
      paramLabel = "POLICY",
      defaultValue = "fail",
      description =
          "When its node is drained or lost for good: ${COMPLETION-CANDIDATES}. Default:"
              + " ${DEFAULT-VALUE}; reschedule begins anew elsewhere, with new copies of the image's"
              + " disks.")
  private NodeLoss onNodeLoss = NodeLoss.FAIL;

  @Option(
      names = "--ttl",
      paramLabel = "TIME",
      description = "Delete it this long after its creation: 90s, 5m, 1h.")
  private @Nullable Duration ttl;

  @Option(
      names = "--max-run-time",
      paramLabel = "TIME",
      description = "Stop it once it has run this long in all; it is FAILED then.")
  private @Nullable Duration maxRunTime;

  @Option(
      names = "--idle-timeout",
      paramLabel = "TIME",
      description =
          "Stop it once no exec, cp, port-forward or the like has been open for this long.")
  private @Nullable Duration idleTimeout;

  @Option(
      names = "--ready-marker",
      paramLabel = "TEXT",
      description = "READY once this is seen on the console. Default: any output.")
  private String readyMarker = "";

  @Option(
      names = "--console-bytes",
      paramLabel = "BYTES",
      description = "What is kept of the console. Default: 1 MiB.")
  private long consoleBytes;

  @Option(
      names = "--wait",
      paramLabel = "POINT",
      description = "Return once it is ${COMPLETION-CANDIDATES}. Default: once it is durable.")
  private @Nullable Wait wait;

  @Option(
      names = "--timeout",
      paramLabel = "TIME",
      defaultValue = "2m",
      description = "For --wait. Default: ${DEFAULT-VALUE}.")
  private Duration timeout = Duration.ofMinutes(2);

  @Option(
      names = {"-a", "--attach", "--follow"},
      description =
          "Print its console, or its container's output, until it ends. Ctrl-C leaves the microVM"
              + " running.")
  private boolean attach;

  @Option(names = "--rm", description = "Like --attach, and delete it at its end or on Ctrl-C.")
  private boolean remove;

  @Option(names = "--dry-run", description = "Have the server check the spec, create nothing.")
  private boolean dryRun;

  RunCommand(Environment environment) {
    this.environment = environment;
  }

  @Override
  public Integer call() {
    checkWords();
    if (!container.isGiven()) {
      return create();
    }
    try {
      return create();
    } catch (CommandException | StatusRuntimeException e) {
      int exitCode = new ErrorReport(environment.err()).print(e);
      // Any other might be the container's.
      return exitCode == ExitCode.BROKEN_PIPE ? exitCode : ExitCode.OF_VIREO;
    }
  }

  /** Those before {@code --}. */
  private List<String> names() {
    return words.subList(0, words.size() - commandWords().size());
  }

  /** Those after {@code --}, which picocli does not tell from those before it. */
  private List<String> commandWords() {
    List<String> all = requireNonNull(command).commandLine().getParseResult().originalArgs();
    int end = all.indexOf("--");
    return end < 0 ? List.of() : all.subList(end + 1, all.size());
  }

  private void checkWords() {
    if (names().size() > 1) {
      throw wrongWords(
          "there is one NAME, not %s%s"
              .formatted(names(), container.isGiven() ? "; a command comes after --" : ""));
    }
    if (!commandWords().isEmpty() && !container.isGiven()) {
      throw wrongWords("a command needs an --image");
    }
    if (container.isToBeAttached() && !container.isGiven()) {
      throw wrongWords("-i and -t need an --image");
    }
    if (container.isToBeAttached() && restart != Restart.NEVER) {
      throw wrongWords(
          "--restart starts others than the one that is joined: use -d with -i and -t");
    }
  }

  private ParameterException wrongWords(String problem) {
    return new ParameterException(requireNonNull(command).commandLine(), problem);
  }

  private int create() {
    try (Api api = server.connect(environment)) {
      CreateMicroVmRequest request = request(api);
      if ((attach || remove || container.isToBeAttached()) && !dryRun) {
        Duration patience = wait == null ? Api.CALL_TIMEOUT : timeout;
        return new AttachedRun(
                api, environment, request, patience, remove, container.isToBeAttached())
            .run();
      }
      MicroVm vm = api.microVms(timeout).createMicroVm(request);
      switch (output.format()) {
        case JSON -> environment.out().println(OutputOptions.json(vm));
        case NAME -> environment.out().println(vm.getMeta().getName());
        case TABLE, WIDE ->
            environment
                .out()
                .println(
                    dryRun ? "the spec is fine" : new MicroVmView(environment.clock()).line(vm));
      }
      return ExitCode.OK;
    }
  }

  private CreateMicroVmRequest request(Api api) {
    CreateMicroVmRequest.Builder request =
        CreateMicroVmRequest.newBuilder()
            .setParent(api.parent())
            .setMicrovmId(names().isEmpty() ? newName() : names().getFirst())
            .setRequestId(UUID.randomUUID().toString())
            .setValidateOnly(dryRun)
            .setMicrovm(
                MicroVm.newBuilder()
                    .setMeta(ResourceMeta.newBuilder().putAllLabels(labels))
                    .setSpec(spec(api)));
    if (wait != null) {
      request.setWait(
          switch (wait) {
            case SCHEDULED -> CreateMicroVmRequest.Wait.WAIT_SCHEDULED;
            case RUNNING -> CreateMicroVmRequest.Wait.WAIT_RUNNING;
            case READY -> CreateMicroVmRequest.Wait.WAIT_READY;
          });
    }
    return request.build();
  }

  private MicroVmSpec spec(Api api) {
    MicroVmSpec.Builder spec =
        MicroVmSpec.newBuilder()
            .setVcpus(vcpus)
            .setMemoryMib(memoryMib)
            .setBoot(
                Boot.newBuilder()
                    .setKernel(kernelName())
                    .setInitramfs(initramfs)
                    .setNoInitramfs(noInitramfs)
                    .setCommandLine(commandLine)
                    .setAnnouncement(
                        switch (announcement) {
                          case AUTO -> Announcement.AUTO;
                          case CMDLINE -> Announcement.CMDLINE;
                          case ACPI -> Announcement.ACPI;
                          case FDT -> Announcement.FDT;
                        }))
            .addAllDisks(disks(api))
            .addAllNetworks(networks())
            .setConsole(Console.newBuilder().setMaxBytes(consoleBytes).setReadyMarker(readyMarker))
            .setPlacement(placement.placement())
            .setLifecycle(lifecycle())
            .setVmm(
                Vmm.newBuilder()
                    .setRegisterPage(
                        switch (registerPage) {
                          case AUTO -> RegisterPageMode.REGISTER_PAGE_AUTO;
                          case LAZY -> RegisterPageMode.REGISTER_PAGE_LAZY;
                          case STRICT -> RegisterPageMode.REGISTER_PAGE_STRICT;
                          case CLASSIC -> RegisterPageMode.REGISTER_PAGE_CLASSIC;
                        })
                    .setCompiler(
                        switch (compiler) {
                          case AUTO -> VmmCompiler.VMM_COMPILER_AUTO;
                          case LEAN -> VmmCompiler.VMM_COMPILER_LEAN;
                          case FAST -> VmmCompiler.VMM_COMPILER_FAST;
                        }));
    spec.setMemoryBacking(
        switch (memoryBacking) {
          case ANONYMOUS -> MemoryBacking.MEMORY_ANONYMOUS;
          case SHARED -> MemoryBacking.MEMORY_SHARED;
          case HUGE_PAGES -> MemoryBacking.MEMORY_HUGE_PAGES;
        });
    if (container.isGiven()) {
      spec.setContainer(container.container(image(api), commandWords(), environment.variables()));
    }
    if (cpuLimit != null || cpuWeight != 0) {
      spec.setLimits(limits());
    }
    if (metadata.isGiven()) {
      spec.setMetadata(metadata.metadata(environment.in()));
    }
    if (vsock || vsockCid != null) {
      spec.setVsock(Vsock.newBuilder().setCid(vsockCid == null ? 0 : vsockCid));
    }
    if (entropy) {
      spec.setEntropy(Entropy.getDefaultInstance());
    }
    if (balloon != null) {
      spec.setBalloon(balloon);
    }
    if (memoryHotplug != null) {
      spec.setMemoryHotplug(memoryHotplug);
    }
    if (!consolePorts.isEmpty()) {
      spec.setVirtioConsole(VirtioConsole.newBuilder().addAllPorts(consolePorts));
    }
    if (architecture != null) {
      spec.setArchitecture(
          switch (architecture) {
            case X86_64 -> Architecture.X86_64;
            case ARM64 -> Architecture.ARM64;
          });
    }
    return spec.build();
  }

  /** What the spec calls it: one that is in a file, and on its way to nodes, by its ID. */
  private String image(Api api) {
    return container
        .archive()
        .map(file ->
            new ImageOfRun(
                    api, environment, placement.placement(), Optional.ofNullable(architecture))
                .bring(file, dryRun))
        .orElseGet(container::image);
  }

  private Limits limits() {
    Limits.Builder limits = Limits.newBuilder().setCpuWeight(cpuWeight);
    if (cpuLimit != null) {
      limits.setCpuMilli(milli(cpuLimit));
    }
    return limits.build();
  }

  /** One of 0 would mean none at all. */
  private int milli(BigDecimal cpus) {
    try {
      int milli = cpus.movePointRight(3).intValueExact();
      if (milli > 0) {
        return milli;
      }
    } catch (ArithmeticException e) {
      // Not whole, or out of range.
    }
    throw wrongWords("--cpu-limit is 0.01 to 64, in thousandths, not " + cpus);
  }

  private Lifecycle lifecycle() {
    Lifecycle.Builder lifecycle =
        Lifecycle.newBuilder()
            .setRestartPolicy(
                switch (restart) {
                  case NEVER -> Lifecycle.RestartPolicy.NEVER;
                  case ON_FAILURE -> Lifecycle.RestartPolicy.ON_FAILURE;
                  case ALWAYS -> Lifecycle.RestartPolicy.ALWAYS;
                });
    if (onNodeLoss == NodeLoss.RESCHEDULE) {
      lifecycle.setOnNodeLoss(Lifecycle.NodeLoss.NODE_LOSS_RESCHEDULE);
    }
    if (ttl != null) {
      lifecycle.setTtl(Converters.proto(ttl));
    }
    if (maxRunTime != null) {
      lifecycle.setMaxRunTime(Converters.proto(maxRunTime));
    }
    if (idleTimeout != null) {
      lifecycle.setIdleTimeout(Converters.proto(idleTimeout));
    }
    return lifecycle.build();
  }

  private static List<Network> concat(List<Network> first, Optional<Network> last) {
    return Stream.concat(first.stream(), last.stream()).toList();
  }

  /** The networks as given, numbered where they have no id. */
  private List<Network> networks() {
    List<Network> named = new ArrayList<>();
    for (Network network : concat(networks, routed.network())) {
      named.add(
          network.getId().isEmpty()
              ? network.toBuilder().setId("net" + named.size()).build()
              : network);
    }
    return named;
  }

  /** The disks as given, numbered where they have no id; for a Linux image its root disk. */
  private List<Disk> disks(Api api) {
    if (disks.isEmpty() && !noDisk && isLinuxImage(api)) {
      return List.of(Disk.newBuilder().setId("root").setSource("image:").build());
    }
    List<Disk> named = new ArrayList<>();
    for (Disk disk : disks) {
      named.add(
          disk.getId().isEmpty() ? disk.toBuilder().setId("disk" + named.size()).build() : disk);
    }
    return named;
  }

  private String kernelName() {
    if (kernel != null) {
      return kernel;
    }
    return container.isGiven() ? "" : DEFAULT_IMAGE;
  }

  private boolean isLinuxImage(Api api) {
    if (container.isGiven() || kernelName().contains("/")) {
      return false;
    }
    List<NodeImage> images =
        api.listNodes().stream()
            .flatMap(node -> node.getStatus().getCapabilities().getImagesList().stream())
            .toList();
    if (images.isEmpty()) {
      return isOurLinuxImage();
    }
    return LINUX_IMAGES.contains(kernelName())
        || images.stream()
            .filter(image -> image.getName().equals(kernelName()))
            .map(NodeImage::getGuestKind)
            .anyMatch("linux"::equals);
  }

  /** While no node has told of its images; after that, the server refuses those that none has. */
  private boolean isOurLinuxImage() {
    if (!LINUX_IMAGES.contains(kernelName()) && !kernelName().equals(BARE_METAL_IMAGE)) {
      throw new CommandException(
          ExitCode.REFUSED,
          "no node has told of an image '%s', so nobody knows whether it needs a root disk"
              .formatted(kernelName()),
          "See vireo node list; or say it: --disk root=image: or --no-disk.");
    }
    return LINUX_IMAGES.contains(kernelName());
  }

  /** Made here and not by the server, so that Ctrl-C knows what to delete. */
  private static String newName() {
    StringBuilder id = new StringBuilder("vm-");
    for (int i = 0; i < NAME_LENGTH; i++) {
      id.append(NAME_ALPHABET.charAt(ThreadLocalRandom.current().nextInt(NAME_ALPHABET.length())));
    }
    return id.toString();
  }
}

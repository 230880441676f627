package dev.vireo.cli;

import static java.util.Objects.requireNonNull;

import dev.vireo.proto.v1.Console;
import dev.vireo.proto.v1.CreateMicroVmRequest;
import dev.vireo.proto.v1.MicroVm;
import dev.vireo.proto.v1.MicroVmSpec;
import dev.vireo.proto.v1.ResourceMeta;
import io.grpc.StatusRuntimeException;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.Callable;
import java.util.concurrent.ThreadLocalRandom;
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

  @Mixin private final KernelOptions kernel = new KernelOptions();

  @Mixin private final ResourceOptions resources = new ResourceOptions();

  @Mixin private final DeviceOptions devices = new DeviceOptions();

  @Mixin private final BootOptions boot = new BootOptions();

  @Mixin private final VmmOptions vmm = new VmmOptions();

  @Mixin private final PlacementOptions placement = new PlacementOptions();

  @Option(
      names = {"-l", "--label"},
      paramLabel = "KEY=VALUE",
      description = "Repeatable.")
  private Map<String, String> labels = Map.of();

  @Mixin private final LifecycleOptions lifecycle = new LifecycleOptions();

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
    if (container.isToBeAttached() && lifecycle.mayRestart()) {
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
    String kernelName = kernel.kernel(container.isGiven());
    MicroVmSpec.Builder spec =
        MicroVmSpec.newBuilder()
            .setBoot(boot.boot(kernelName))
            .setConsole(Console.newBuilder().setMaxBytes(consoleBytes).setReadyMarker(readyMarker))
            .setPlacement(placement.placement())
            .setLifecycle(lifecycle.lifecycle())
            .setVmm(vmm.vmm());
    kernel.addTo(spec);
    devices.addTo(spec, () -> !container.isGiven() && RootDisk.isNeeded(kernelName, api));
    if (container.isGiven()) {
      spec.setContainer(container.container(image(api), commandWords(), environment.variables()));
    }
    resources.addTo(spec);
    if (metadata.isGiven()) {
      spec.setMetadata(metadata.metadata(environment.in()));
    }
    return spec.build();
  }

  /** What the spec calls it: one that is in a file, and on its way to nodes, by its ID. */
  private String image(Api api) {
    return container
        .archive()
        .map(file ->
            new ImageOfRun(api, environment, placement.placement(), kernel.architecture())
                .bring(file, dryRun))
        .orElseGet(container::image);
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

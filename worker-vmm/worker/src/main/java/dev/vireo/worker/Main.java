package dev.vireo.worker;

import dev.vireo.catalog.BackEnd;
import dev.vireo.images.Architecture;
import dev.vireo.images.container.ContainerImageCache;
import dev.vireo.linux.KvmProbe;
import dev.vireo.linux.LinuxException;
import dev.vireo.worker.CommandLine.UsageException;
import dev.vireo.worker.boot.BootPlanner;
import dev.vireo.worker.container.NodeContainerImages;
import dev.vireo.worker.container.PullProgram;
import dev.vireo.worker.doctor.Diagnosis;
import dev.vireo.worker.doctor.Doctor;
import dev.vireo.worker.doctor.Host;
import dev.vireo.worker.doctor.ThisHost;
import dev.vireo.worker.image.NodeImages;
import dev.vireo.worker.network.Networks;
import dev.vireo.worker.network.RoutedNetworks;
import dev.vireo.worker.node.NodeFacts;
import dev.vireo.worker.node.ProcFiles;
import dev.vireo.worker.session.ControllerChannel;
import dev.vireo.worker.state.StateDirectory;
import dev.vireo.worker.time.SystemTime;
import dev.vireo.worker.tracing.LaunchTracer;
import dev.vireo.worker.vmm.VmmProgram;
import java.io.IOException;
import java.io.PrintStream;
import java.lang.System.Logger.Level;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.CountDownLatch;

/** The worker's command line: run, reap, doctor. */
public final class Main {
  private static final System.Logger LOG = System.getLogger("worker");
  private static final String NO_NFT = "nft is not installed here: apt-get install nftables";

  private static final String HELP =
      """
      Usage: worker [run] [OPTION]…     be a node: run what the controller says
             worker reap [OPTION]…      end every VMM of a node whose worker does not run
             worker doctor [-o json]    tell what this host can do

      run:
      %s
      reap:
        --node-id ID, --state-dir DIR   as above
        --purge                         remove consoles and private disks too

      SIGTERM ends the worker and leaves its guests running; the next worker takes them back.
      Exit: 0 done, 1 failed, 2 usage, 5 the state directory is in use, 7 no usable KVM or VMM.
      """
          .formatted(WorkerOptions.HELP);

  private Main() {}

  /** Runs the command and exits with its code. */
  public static void main(String[] arguments) {
    Logging.configure();
    ExitCode code;
    try {
      code = run(arguments, System.out);
    } catch (UsageException e) {
      System.err.println("error: " + e.getMessage());
      System.err.println(
          "  remedy: see %s --help"
              .formatted(List.of(arguments).indexOf("doctor") == 0 ? "vireo doctor" : "worker"));
      code = ExitCode.USAGE;
    } catch (StateDirectory.UnusableException e) {
      System.err.println("error: " + e.getMessage());
      code = ExitCode.REFUSED;
    } catch (IOException e) {
      System.err.println("error: " + e);
      code = ExitCode.FAILED;
    }
    System.exit(code.number());
  }

  private static ExitCode run(String[] arguments, PrintStream out)
      throws UsageException, IOException, StateDirectory.UnusableException {
    if (List.of(arguments).contains("--help")) {
      out.print(HELP);
      return ExitCode.DONE;
    }
    String command = arguments.length > 0 && !arguments[0].startsWith("-") ? arguments[0] : "run";
    return switch (command) {
      case "reap" ->
          reap(
              CommandLine.parse(
                  arguments,
                  List.of("reap"),
                  Set.of("--node-id", "--state-dir"),
                  Set.of("--purge")));
      case "doctor" ->
          doctor(
              CommandLine.parse(arguments, List.of("doctor"), Set.of("-o", "--output"), Set.of()),
              out);
      default ->
          work(
              WorkerOptions.of(
                  CommandLine.parse(
                      arguments, List.of("run"), WorkerOptions.WITH_VALUE, WorkerOptions.FLAGS),
                  System.getenv()));
    };
  }

  private static ExitCode work(WorkerOptions options)
      throws IOException, UsageException, StateDirectory.UnusableException {
    LaunchTracer tracer = tracer(options.nodeId());
    VmmProgram program = VmmProgram.of(options.vmmHome());
    if (!Files.isExecutable(program.executable())) {
      System.err.println(
          "error: there is no VMM in %s: build it, or name another --vmm"
              .formatted(program.home()));
      return ExitCode.UNAVAILABLE;
    }
    Optional<KvmProbe> kvm = kvm();
    if (kvm.isEmpty()) {
      return ExitCode.UNAVAILABLE;
    }
    StateDirectory state = StateDirectory.open(options.stateDirectory());
    Optional<RoutedNetworks> routed = routed(options, state);
    Optional<String> notRouted = routed.isEmpty() ? Optional.of(NO_NFT) : routed.get().problem();
    notRouted.ifPresent(why -> LOG.log(Level.INFO, "no routed networks: {0}", why));
    NodeFacts facts = facts(options, kvm.get(), notRouted.isEmpty());
    ContainerImageCache imageCache = ContainerImageCache.of(options.containerImages());
    PullProgram pull =
        PullProgram.in(options.pullHome(), options.containerImages(), options.emulated());
    Worker worker =
        new Worker(
            options.nodeId(),
            options.labels(),
            state,
            facts,
            new BootPlanner(
                Path.of("/dev/kvm"), options.images(), facts.machine(), facts.capacity()),
            // Of a daemon thread, which ends with this process.
            new NodeContainerImages(imageCache, Architecture.ofHost(), pull, new SystemTime()),
            new NodeImages(imageCache, Architecture.ofHost(), pull),
            routed.<Networks>map(networks -> networks).orElseGet(() -> Networks.none(NO_NFT)),
            program,
            options.poolSize(),
            ProcFiles.bootId(),
            version(),
            ControllerChannel.to(options.controllers()),
            tracer);
    // The exit code stays the signal's.
    Runtime.getRuntime().addShutdownHook(new Thread(worker::close, "shutdown"));
    worker.start();
    LOG.log(
        Level.INFO,
        "node {0} in {1}, controllers {2}",
        options.nodeId(),
        state.root(),
        options.controllers());
    awaitSignal();
    return ExitCode.DONE;
  }

  private static LaunchTracer tracer(String nodeId) throws UsageException {
    try {
      return LaunchTracer.configured(nodeId, System.getenv());
    } catch (IllegalArgumentException e) {
      throw new UsageException(String.valueOf(e.getMessage()));
    }
  }

  private static Optional<KvmProbe> kvm() {
    try {
      KvmProbe probe = KvmProbe.probe();
      if (probe.usable()) {
        return Optional.of(probe);
      }
      System.err.println("error: this KVM lacks what a VMM needs; see: vireo doctor");
    } catch (LinuxException e) {
      System.err.println("error: " + e.getMessage() + "; see: vireo doctor");
    }
    return Optional.empty();
  }

  private static Optional<Path> nft() {
    return new ThisHost().program("nft");
  }

  private static Optional<RoutedNetworks> routed(WorkerOptions options, StateDirectory state)
      throws IOException {
    Optional<Path> nft = nft();
    return nft.isEmpty()
        ? Optional.empty()
        : Optional.of(
            RoutedNetworks.of(state, options.networkPool(), nft.get(), options.behindPasta()));
  }

  private static NodeFacts facts(WorkerOptions options, KvmProbe kvm, boolean routes)
      throws IOException {
    Host host = new ThisHost();
    long total = ProcFiles.memoryTotalMib();
    long reserve = options.memoryReserveMib() >= 0 ? options.memoryReserveMib() : 256 + total / 20;
    return new NodeFacts(
        options.images(),
        kvm,
        BackEnd.availableOn(file -> host.isUsable(Path.of(file))).stream()
            .filter(backEnd -> backEnd != BackEnd.NET_ROUTED || routes)
            .toList(),
        options.emulated(),
        Runtime.getRuntime().availableProcessors(),
        options.cpuOvercommit(),
        total,
        reserve);
  }

  private static String version() {
    return Optional.ofNullable(Main.class.getPackage().getImplementationVersion())
        .orElse("development");
  }

  private static void awaitSignal() {
    try {
      new CountDownLatch(1).await();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  private static ExitCode reap(CommandLine line)
      throws IOException, UsageException, StateDirectory.UnusableException {
    Path directory =
        WorkerOptions.stateRoot(line, System.getenv())
            .resolve("worker")
            .resolve(WorkerOptions.nodeId(line));
    if (!Files.isDirectory(directory)) {
      return ExitCode.DONE;
    }
    try (StateDirectory state = StateDirectory.open(directory)) {
      boolean done = new Reap(state, ProcFiles.bootId()).run();
      if (done) {
        removeRules(state);
      }
      if (done && line.has("--purge")) {
        StateDirectory.removeTree(directory);
      }
      return done ? ExitCode.DONE : ExitCode.FAILED;
    }
  }

  private static void removeRules(StateDirectory state) {
    Optional<Path> nft = nft();
    if (nft.isPresent()) {
      try {
        RoutedNetworks.removeRules(state, nft.get());
      } catch (IOException e) {
        // Whoever may not use nft has made no rules.
        LOG.log(Level.DEBUG, "cannot look for rules: {0}", e.getMessage());
      }
    }
  }

  private static ExitCode doctor(CommandLine line, PrintStream out)
      throws IOException, UsageException {
    Optional<String> format = line.value("--output").or(() -> line.value("-o"));
    Diagnosis diagnosis = Doctor.examine(new ThisHost());
    switch (format.orElse("text")) {
      case "text", "table" -> out.print(diagnosis.toText());
      case "json" -> out.print(diagnosis.toJson());
      default -> throw new UsageException("-o is json or text");
    }
    return diagnosis.canRunGuests() ? ExitCode.DONE : ExitCode.UNAVAILABLE;
  }
}

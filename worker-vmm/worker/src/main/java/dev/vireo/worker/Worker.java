package dev.vireo.worker;

import dev.vireo.proto.v1.ContainerImage;
import dev.vireo.proto.v1.NodeCapabilities;
import dev.vireo.proto.worker.v1.ContainerImageSet;
import dev.vireo.proto.worker.v1.DesiredChange;
import dev.vireo.proto.worker.v1.Heartbeat;
import dev.vireo.proto.worker.v1.Hello;
import dev.vireo.proto.worker.v1.Inspect;
import dev.vireo.proto.worker.v1.InspectResult;
import dev.vireo.proto.worker.v1.LogChunk;
import dev.vireo.proto.worker.v1.NodeCounter;
import dev.vireo.proto.worker.v1.ReadLog;
import dev.vireo.proto.worker.v1.ReadTrace;
import dev.vireo.proto.worker.v1.TraceChunk;
import dev.vireo.proto.worker.v1.Welcome;
import dev.vireo.worker.agent.AgentCalls;
import dev.vireo.worker.agent.ContainerProcesses;
import dev.vireo.worker.agent.Tunnel;
import dev.vireo.worker.boot.BootPlanner;
import dev.vireo.worker.cgroup.VmmGroups;
import dev.vireo.worker.container.ContainerImages;
import dev.vireo.worker.image.ArchiveDirectory;
import dev.vireo.worker.image.CacheReport;
import dev.vireo.worker.image.ImageCalls;
import dev.vireo.worker.image.NodeImages;
import dev.vireo.worker.log.LogStreams;
import dev.vireo.worker.metadata.MetadataServers;
import dev.vireo.worker.microvm.Inspector;
import dev.vireo.worker.microvm.MicroVms;
import dev.vireo.worker.microvm.Reservations;
import dev.vireo.worker.microvm.TraceStreams;
import dev.vireo.worker.microvm.VmmLauncher;
import dev.vireo.worker.network.Networks;
import dev.vireo.worker.network.dns.NodeResolvers;
import dev.vireo.worker.node.NodeFacts;
import dev.vireo.worker.session.Backoff;
import dev.vireo.worker.session.ControlledNode;
import dev.vireo.worker.session.ControllerSession;
import dev.vireo.worker.session.Controllers;
import dev.vireo.worker.state.StateDirectory;
import dev.vireo.worker.time.SystemTime;
import dev.vireo.worker.tracing.LaunchTracer;
import dev.vireo.worker.vmm.VmmAdoption;
import dev.vireo.worker.vmm.VmmHost;
import dev.vireo.worker.vmm.VmmKind;
import dev.vireo.worker.vmm.VmmPool;
import dev.vireo.worker.vmm.VmmProgram;
import java.security.SecureRandom;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Consumer;

/**
 * A node daemon, put together: takes back what its predecessor left, then keeps a session with the
 * controller and makes its desired state true.
 */
public final class Worker implements ControlledNode, AutoCloseable {
  /** Few ask for fast VMMs, and an idle one would cost its memory on every node. */
  private static final int NONE_IN_RESERVE = 0;

  /** Also long enough for a JVM to start in an emulated node of a host that others keep busy. */
  private static final Duration VMM_ANSWERS_WITHIN = Duration.ofMinutes(3);

  /** A VMM that runs already has no JVM to start. Until all have answered the node is away. */
  private static final Duration TAKEN_BACK_WITHIN = Duration.ofSeconds(10);

  private static final Duration FIRST_REDIAL = Duration.ofMillis(100);
  private static final Duration LONGEST_REDIAL = Duration.ofSeconds(5);
  private static final Duration HOUSEKEEPING = Duration.ofSeconds(30);
  private static final Duration TALLY_EVERY = Duration.ofSeconds(15);

  /** By each of the node's resolvers, of which a guest's program waits for a few. */
  private static final Duration RESOLVED_WITHIN = Duration.ofSeconds(2);

  /** More than CPUs: some of them copy disks. */
  private static final int THREADS = 8;

  private final String nodeId;
  private final String nodeUid;
  private final String version;
  private final Map<String, String> labels;
  private final NodeFacts facts;
  private final Networks networks;
  private final SystemTime time = new SystemTime();
  private final LaunchTracer tracer;
  private final ExecutorService threads;
  private final VmmGroups groups;
  private final VmmHost host;
  private final VmmPool pool;
  private final VmmPool unpooled;
  private final MetadataServers metadata;
  private final VmmLauncher launcher;
  private final MicroVms microVms;
  private final Inspector inspector;
  private final LogStreams logs;
  private final TraceStreams traces;
  private final AgentCalls agents;
  private final ImageCalls images;
  private final CacheReport imageCache;
  private final ControllerSession session;
  private NodeCapabilities told = NodeCapabilities.getDefaultInstance();
  private List<ContainerImage> imagesTold = List.of();
  private List<NodeCounter> countersTold = List.of();

  /**
   * @param state stays the caller's to close, after this
   * @param bootId of this boot of the machine
   * @param version of this program, for people
   * @param controllers this worker's from now on
   * @param tracer this worker's from now on
   */
  public Worker(
      String nodeId,
      Map<String, String> labels,
      StateDirectory state,
      NodeFacts facts,
      BootPlanner planner,
      ContainerImages containerImages,
      NodeImages nodeImages,
      Networks networks,
      VmmProgram program,
      int poolSize,
      String bootId,
      String version,
      Controllers controllers,
      LaunchTracer tracer) {
    this.nodeId = nodeId;
    this.nodeUid = state.nodeUid();
    this.labels = Map.copyOf(labels);
    this.version = version;
    this.facts = facts;
    this.networks =
        networks.withResolver(
            NodeResolvers.ofNode(RESOLVED_WITHIN), time, event -> count("dns", event));
    this.tracer = tracer;
    SecureRandom random = new SecureRandom();
    AtomicInteger count = new AtomicInteger();
    this.threads =
        Executors.newFixedThreadPool(
            THREADS,
            task ->
                Thread.ofPlatform()
                    .name("worker-" + count.incrementAndGet())
                    .daemon()
                    .unstarted(task));
    this.groups = VmmGroups.of(state.nodeUid(), time);
    this.host = new VmmHost(state, program, bootId, groups, random, time, VMM_ANSWERS_WITHIN);
    int parallelSpawns = Runtime.getRuntime().availableProcessors();
    this.pool =
        new VmmPool(() -> host.spawn(VmmKind.LEAN), poolSize, parallelSpawns, threads, time);
    this.unpooled =
        new VmmPool(() -> host.spawn(VmmKind.FAST), NONE_IN_RESERVE, parallelSpawns, threads, time);
    this.session =
        new ControllerSession(
            controllers, this, time, new Backoff(FIRST_REDIAL, LONGEST_REDIAL, random));
    this.metadata = new MetadataServers(nodeId, random, time, event -> count("metadata", event));
    ContainerProcesses processes = new ContainerProcesses(time, random);
    this.launcher =
        new VmmLauncher(
            planner,
            containerImages,
            processes,
            metadata,
            pool,
            unpooled,
            groups,
            threads,
            VMM_ANSWERS_WITHIN);
    this.microVms =
        new MicroVms(
            state,
            launcher,
            new Reservations(facts.capacity()),
            this.networks,
            tracer,
            time,
            threads,
            session::report);
    this.inspector = new Inspector(microVms, time);
    this.logs = new LogStreams(microVms::log, time, threads);
    this.traces = new TraceStreams(microVms, time);
    this.agents = new AgentCalls(microVms::report, processes, microVms.activity(), time);
    this.images = new ImageCalls(nodeImages, ArchiveDirectory.of(state.archives()), time);
    this.imageCache = new CacheReport(nodeImages.cache());
  }

  private void count(String service, String event) {
    microVms.tally().count(service, event);
  }

  /** Takes back what runs, then dials. Returns when the first is done. */
  public void start() {
    microVms.recover(new VmmAdoption(host, TAKEN_BACK_WITHIN).run(), pool);
    host.sweepGroups();
    networks.restore();
    pool.start();
    threads.execute(launcher::rehearse);
    session.start();
    keepHouse();
    keepTally();
  }

  private void keepTally() {
    time.after(
        TALLY_EVERY,
        () -> {
          threads.execute(microVms::updateTally);
          keepTally();
        });
  }

  private void keepHouse() {
    time.after(
        HOUSEKEEPING,
        () -> {
          threads.execute(host::capLogs);
          keepHouse();
        });
  }

  @Override
  public Hello hello() {
    return Hello.newBuilder()
        .setNodeId(nodeId)
        .setNodeUid(nodeUid)
        .setCapabilities(capabilitiesToTell())
        .setCapacity(facts.capacity())
        .putAllLabels(labels)
        .setWorkerVersion(version)
        .addAllReports(microVms.reports())
        .addAllContainerImages(imagesToTell())
        .build();
  }

  private synchronized NodeCapabilities capabilitiesToTell() {
    told = facts.capabilities();
    return told;
  }

  private synchronized List<ContainerImage> imagesToTell() {
    imagesTold = imageCache.images();
    return imagesTold;
  }

  @Override
  public synchronized Heartbeat heartbeat() {
    Heartbeat.Builder heartbeat =
        Heartbeat.newBuilder().setWarmVmms(pool.idle()).setCapacity(facts.capacity());
    NodeCapabilities now = facts.capabilities();
    if (!now.equals(told)) {
      told = now;
      heartbeat.setCapabilities(now);
    }
    List<ContainerImage> images = imageCache.images();
    if (!images.equals(imagesTold)) {
      imagesTold = images;
      heartbeat.setContainerImages(ContainerImageSet.newBuilder().addAllImages(images));
    }
    List<NodeCounter> counters = microVms.tally().counters();
    if (!counters.equals(countersTold)) {
      countersTold = counters;
      heartbeat.addAllCounters(counters);
    }
    return heartbeat.build();
  }

  @Override
  public void welcome(Welcome welcome) {
    synchronized (this) {
      countersTold = List.of(); // This controller may be another one.
    }
    microVms.setDesired(welcome.getAssignmentsList());
  }

  @Override
  public void change(DesiredChange change) {
    microVms.change(change);
  }

  @Override
  public void readLog(ReadLog request, Consumer<LogChunk> chunks) {
    logs.read(request, chunks);
  }

  @Override
  public void cancelLog(long streamId) {
    logs.cancel(streamId);
  }

  @Override
  public void inspect(Inspect request, Consumer<InspectResult> answer) {
    var _ = inspector.inspect(request).thenAccept(answer);
  }

  @Override
  public void readTrace(ReadTrace request, Consumer<TraceChunk> chunks) {
    traces.read(request, chunks);
  }

  @Override
  public void cancelTrace(long streamId) {
    traces.cancel(streamId);
  }

  @Override
  public void serve(String uid, Tunnel tunnel) {
    if (uid.isEmpty()) {
      images.serve(tunnel);
    } else {
      agents.serve(uid, tunnel);
    }
  }

  @Override
  public void disconnected() {
    logs.cancelAll();
    traces.cancelAll();
    agents.endAll();
    images.endAll();
  }

  /** Ends the session and the idle VMMs. Guests go on. */
  @Override
  public void close() {
    session.close();
    agents.endAll();
    images.endAll();
    pool.close();
    unpooled.close();
    metadata.close();
    networks.close();
    time.close();
    threads.shutdown();
    host.close();
    groups.close();
    tracer.close();
  }
}

package dev.vireo.sim.node;

import dev.vireo.proto.v1.Announcement;
import dev.vireo.proto.v1.Architecture;
import dev.vireo.proto.v1.NodeCapabilities;
import dev.vireo.proto.v1.NodeImage;
import dev.vireo.proto.worker.v1.DesiredChange;
import dev.vireo.proto.worker.v1.Heartbeat;
import dev.vireo.proto.worker.v1.Hello;
import dev.vireo.proto.worker.v1.Inspect;
import dev.vireo.proto.worker.v1.InspectResult;
import dev.vireo.proto.worker.v1.LogChunk;
import dev.vireo.proto.worker.v1.ReadLog;
import dev.vireo.proto.worker.v1.ReadTrace;
import dev.vireo.proto.worker.v1.TraceChunk;
import dev.vireo.proto.worker.v1.Welcome;
import dev.vireo.sim.kernel.SimProcess;
import dev.vireo.sim.network.SimChannel;
import dev.vireo.worker.agent.Tunnel;
import dev.vireo.worker.microvm.MicroVms;
import dev.vireo.worker.microvm.Reservations;
import dev.vireo.worker.network.Networks;
import dev.vireo.worker.session.Backoff;
import dev.vireo.worker.session.ControlledNode;
import dev.vireo.worker.session.ControllerAddress;
import dev.vireo.worker.session.ControllerSession;
import dev.vireo.worker.session.Controllers;
import dev.vireo.worker.state.StateDirectory;
import dev.vireo.worker.tracing.LaunchTracer;
import dev.vireo.worker.vmm.VmmPool;
import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.function.Consumer;
import java.util.random.RandomGenerator;

/**
 * A worker, put together as {@link dev.vireo.worker.Worker} does it, with the machine's VMMs in
 * place of processes.
 */
final class SimWorker implements ControlledNode {
  /** What every machine can boot. */
  static final String IMAGE = "probe";

  private static final Duration FIRST_REDIAL = Duration.ofMillis(100);
  private static final Duration LONGEST_REDIAL = Duration.ofSeconds(5);

  private final SimMachine machine;
  private final SimProcess process;
  private final Map<String, SimChannel> channels = new LinkedHashMap<>();
  private final StateDirectory state;
  private final MicroVms microVms;
  private final ControllerSession session;

  SimWorker(
      SimMachine machine,
      SimProcess process,
      RandomGenerator random,
      SimMachine.Controllers controllers) {
    this.machine = machine;
    this.process = process;
    try {
      this.state = StateDirectory.open(machine.directory());
    } catch (StateDirectory.UnusableException e) {
      throw new IllegalStateException(e);
    }
    this.session =
        new ControllerSession(
            new Controllers(
                controllers.addresses().stream().map(ControllerAddress::parse).toList(),
                address -> channelTo(address.toString(), controllers),
                () -> {}),
            this,
            process.time(),
            new Backoff(FIRST_REDIAL, LONGEST_REDIAL, random));
    this.microVms =
        new MicroVms(
            state,
            new SimLauncher(machine, process),
            new Reservations(machine.capacity()),
            Networks.none("the world that is simulated has no packets"),
            LaunchTracer.OFF,
            process.time(),
            process,
            session::report);
  }

  private SimChannel channelTo(String address, SimMachine.Controllers controllers) {
    return channels.computeIfAbsent(
        address, _ -> new SimChannel(process, machine.link(), () -> controllers.at(address)));
  }

  /** What its main thread does. */
  void run() {
    process.say("worker starts");
    VmmPool none =
        new VmmPool(
            () -> CompletableFuture.failedFuture(new IllegalStateException("there is no pool")),
            0,
            1,
            process,
            process.time());
    microVms.recover(machine.found(process), none);
    session.start();
  }

  void kill() {
    process.kill();
    state.close(); // As the kernel does.
  }

  SimProcess process() {
    return process;
  }

  boolean isWelcome() {
    return session.isWelcome();
  }

  void cutConnections() {
    channels.values().forEach(SimChannel::cutAll);
  }

  @Override
  public Hello hello() {
    return Hello.newBuilder()
        .setNodeId(machine.name())
        .setNodeUid(state.nodeUid())
        .setCapabilities(
            NodeCapabilities.newBuilder()
                .setArchitecture(Architecture.X86_64)
                .setVirtualization("sim")
                .setMaxVcpus(64)
                .addAnnouncements(Announcement.CMDLINE)
                .addImages(
                    NodeImage.newBuilder()
                        .setName(IMAGE)
                        .setArchitecture(Architecture.X86_64)
                        .addAnnouncements(Announcement.CMDLINE)
                        .setGuestKind("bare-metal")
                        .setMinMemoryMib(16)))
        .setCapacity(machine.capacity())
        .setWorkerVersion("sim")
        .addAllReports(microVms.reports())
        .build();
  }

  @Override
  public Heartbeat heartbeat() {
    return Heartbeat.newBuilder().setCapacity(machine.capacity()).build();
  }

  @Override
  public void welcome(Welcome welcome) {
    microVms.setDesired(welcome.getAssignmentsList());
  }

  @Override
  public void change(DesiredChange change) {
    microVms.change(change);
  }

  @Override
  public void serve(String uid, Tunnel tunnel) {
    tunnel.cancel(); // Nobody in the simulation calls an agent.
  }

  @Override
  public void disconnected() {}

  // ---- nobody asks for these here

  @Override
  public void readLog(ReadLog request, Consumer<LogChunk> chunks) {}

  @Override
  public void cancelLog(long streamId) {}

  @Override
  public void inspect(Inspect request, Consumer<InspectResult> answer) {}

  @Override
  public void readTrace(ReadTrace request, Consumer<TraceChunk> chunks) {}

  @Override
  public void cancelTrace(long streamId) {}
}

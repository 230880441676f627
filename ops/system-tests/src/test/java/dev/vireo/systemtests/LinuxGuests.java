package dev.vireo.systemtests;

import static java.nio.charset.StandardCharsets.ISO_8859_1;
import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.protobuf.ByteString;
import dev.vireo.bench.cluster.MicroVms;
import dev.vireo.proto.v1.Architecture;
import dev.vireo.proto.v1.Boot;
import dev.vireo.proto.v1.Console;
import dev.vireo.proto.v1.ConsoleSize;
import dev.vireo.proto.v1.CreateMicroVmRequest;
import dev.vireo.proto.v1.Disk;
import dev.vireo.proto.v1.InspectMicroVmRequest;
import dev.vireo.proto.v1.Inspection;
import dev.vireo.proto.v1.MicroVm;
import dev.vireo.proto.v1.MicroVmServiceGrpc;
import dev.vireo.proto.v1.MicroVmServiceGrpc.MicroVmServiceBlockingStub;
import dev.vireo.proto.v1.MicroVmSpec;
import dev.vireo.proto.v1.MicroVmState;
import dev.vireo.proto.v1.MicroVmStatus;
import dev.vireo.proto.v1.ResizeConsoleRequest;
import dev.vireo.proto.v1.ResizeMemoryRequest;
import dev.vireo.proto.v1.SteerMicroVmRequest;
import dev.vireo.proto.v1.StreamLogsRequest;
import dev.vireo.proto.v1.Termination;
import io.grpc.Channel;
import io.grpc.Status;
import io.grpc.Status.Code;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.time.Duration;
import java.util.Base64;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.zip.GZIPOutputStream;

/** Debian guests through the public API, with the patience that an emulated node asks for. */
final class LinuxGuests {
  private final MicroVms microVms;
  private final MicroVmServiceBlockingStub stub;

  LinuxGuests(Channel channel) {
    this.microVms = new MicroVms(channel, "default");
    this.stub = MicroVmServiceGrpc.newBlockingStub(channel);
  }

  private MicroVmServiceBlockingStub api() {
    return stub.withDeadlineAfter(LinuxCluster.PATIENCE.toSeconds(), TimeUnit.SECONDS);
  }

  /**
   * The image {@code debian-12} with a private copy of its root disk.
   *
   * @param run what the guest's init is to do: see {@code vireo.run} in the image
   */
  static MicroVmSpec.Builder debian(Architecture architecture, String run) {
    return MicroVmSpec.newBuilder()
        .setArchitecture(architecture)
        .setVcpus(1)
        .setMemoryMib(256)
        .setBoot(Boot.newBuilder().setKernel("debian-12").setCommandLine("vireo.run=" + run))
        .addDisks(Disk.newBuilder().setId("root").setSource("image:"))
        .setConsole(Console.newBuilder().setReadyMarker("vireo: ready"));
  }

  /** The image for x86-64. */
  static MicroVmSpec.Builder debian(String run) {
    return debian(Architecture.X86_64, run);
  }

  /** The same with the programs that put devices under load. */
  static MicroVmSpec.Builder withTools(Architecture architecture, String run) {
    MicroVmSpec.Builder spec = debian(architecture, run);
    spec.getBootBuilder().setKernel(LinuxCluster.TOOLS_IMAGE);
    return spec;
  }

  /** A shell script as the step {@code sh:} of the guest's init takes it. */
  static String compressed(String script) throws IOException {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    try (OutputStream gzip = new GZIPOutputStream(bytes)) {
      gzip.write(script.getBytes(ISO_8859_1));
    }
    return Base64.getEncoder().encodeToString(bytes.toByteArray());
  }

  /** Creates a microVM and waits until its init has reported. */
  MicroVm start(String id, MicroVmSpec.Builder spec) {
    return api()
        .createMicroVm(
            microVms
                .request(id, spec.build())
                .setWait(CreateMicroVmRequest.Wait.WAIT_READY)
                .build());
  }

  MicroVmStatus status(String id) {
    return microVms.get(id).getStatus();
  }

  /** Asks again while the node is too busy to answer in time. */
  Inspection inspect(String id) {
    var request = InspectMicroVmRequest.newBuilder().setName(microVms.name(id)).build();
    return await("an inspection of " + id)
        .atMost(LinuxCluster.PATIENCE)
        .pollDelay(Duration.ZERO)
        .ignoreExceptionsMatching(LinuxGuests::comesOfHaste)
        .until(() -> api().inspectMicroVm(request).getInspection(), inspection -> true);
  }

  /** Worker and VMM are given seconds for an answer, of which such a node may have none to give. */
  private static boolean comesOfHaste(Throwable problem) {
    return Status.fromThrowable(problem).getCode() == Code.UNAVAILABLE;
  }

  /** What is on the console so far, from an offset on. */
  String console(String id, long offset) {
    ByteString console = ByteString.EMPTY;
    var chunks =
        api()
            .streamLogs(
                StreamLogsRequest.newBuilder()
                    .setName(microVms.name(id))
                    .setOffset(offset)
                    .build());
    while (chunks.hasNext()) {
      console = console.concat(chunks.next().getData());
    }
    return console.toString(ISO_8859_1).replace("\r", "");
  }

  String console(String id) {
    return console(id, 0);
  }

  void awaitConsole(String id, String text) {
    await(text)
        .atMost(LinuxCluster.PATIENCE)
        .ignoreExceptionsMatching(LinuxGuests::comesOfHaste)
        .until(() -> console(id).contains(text));
  }

  /** The last one: a microVM that was started again keeps how it ended before. */
  Termination awaitEnd(String id) {
    return await("the end of " + id)
        .atMost(LinuxCluster.PATIENCE)
        .until(() -> status(id), LinuxGuests::hasEnded)
        .getTermination();
  }

  private static boolean hasEnded(MicroVmStatus status) {
    return status.hasTermination()
        && (status.getState() == MicroVmState.STOPPED || status.getState() == MicroVmState.FAILED);
  }

  void stop(String id) {
    var _ = api().stopMicroVm(SteerMicroVmRequest.newBuilder().setName(microVms.name(id)).build());
  }

  void pause(String id) {
    var _ = api().pauseMicroVm(SteerMicroVmRequest.newBuilder().setName(microVms.name(id)).build());
    awaitState(id, MicroVmState.PAUSED);
  }

  void resume(String id) {
    var _ =
        api().resumeMicroVm(SteerMicroVmRequest.newBuilder().setName(microVms.name(id)).build());
    awaitState(id, MicroVmState.RUNNING);
  }

  private void awaitState(String id, MicroVmState state) {
    await(id + " is " + state)
        .atMost(LinuxCluster.PATIENCE)
        .until(() -> status(id).getState() == state);
  }

  void resizeConsole(String id, String port, int columns, int rows) {
    var _ =
        api()
            .resizeConsole(
                ResizeConsoleRequest.newBuilder()
                    .setName(microVms.name(id))
                    .setPort(port)
                    .setSize(ConsoleSize.newBuilder().setColumns(columns).setRows(rows))
                    .build());
  }

  void setBalloon(String id, long targetMib) {
    var _ =
        api()
            .resizeMemory(
                ResizeMemoryRequest.newBuilder()
                    .setName(microVms.name(id))
                    .setBalloonTargetMib(targetMib)
                    .build());
  }

  void setMemory(String id, long mib) {
    var _ =
        api()
            .resizeMemory(
                ResizeMemoryRequest.newBuilder()
                    .setName(microVms.name(id))
                    .setSizeMib(mib)
                    .build());
  }

  List<MicroVm> list() {
    return microVms.list();
  }

  void deleteAll() {
    for (MicroVm microVm : list()) {
      String name = microVm.getMeta().getName();
      microVms.delete(name.substring(name.lastIndexOf('/') + 1));
    }
  }

  /** Fails unless a whole line of the console matches. */
  static void assertLine(String console, String pattern) {
    assertTrue(
        console.lines().anyMatch(line -> line.matches(pattern)),
        () -> "no line matches \"%s\" in:%n%s".formatted(pattern, console));
  }
}

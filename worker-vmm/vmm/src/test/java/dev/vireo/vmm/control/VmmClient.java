package dev.vireo.vmm.control;

import com.google.protobuf.InvalidProtocolBufferException;
import dev.vireo.linux.Fd;
import dev.vireo.linux.MessageSocket;
import dev.vireo.linux.ProcessHandleFd;
import dev.vireo.linux.Spawner;
import dev.vireo.linux.UnixListener;
import dev.vireo.linux.testing.Patience;
import dev.vireo.proto.vmm.v1.AnnouncementMode;
import dev.vireo.proto.vmm.v1.BeginTraceRequest;
import dev.vireo.proto.vmm.v1.BlockDevice;
import dev.vireo.proto.vmm.v1.CreateRequest;
import dev.vireo.proto.vmm.v1.Device;
import dev.vireo.proto.vmm.v1.EndTraceRequest;
import dev.vireo.proto.vmm.v1.EntropyDevice;
import dev.vireo.proto.vmm.v1.InspectRequest;
import dev.vireo.proto.vmm.v1.Kernel;
import dev.vireo.proto.vmm.v1.PauseRequest;
import dev.vireo.proto.vmm.v1.ReadTraceRequest;
import dev.vireo.proto.vmm.v1.ReleaseRequest;
import dev.vireo.proto.vmm.v1.ResumeRequest;
import dev.vireo.proto.vmm.v1.SerialConsole;
import dev.vireo.proto.vmm.v1.StatusRequest;
import dev.vireo.proto.vmm.v1.StopRequest;
import dev.vireo.proto.vmm.v1.VmmMessage;
import dev.vireo.proto.vmm.v1.VmmRequest;
import dev.vireo.proto.vmm.v1.VmmResponse;
import dev.vireo.proto.vmm.v1.VmmState;
import dev.vireo.proto.vmm.v1.VmmStatus;
import dev.vireo.proto.vmm.v1.VsockDevice;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Predicate;
import org.jspecify.annotations.Nullable;

/**
 * A real VMM process and a worker's connection to it, for tests and developers. Closing it kills
 * the process and removes its directory.
 */
final class VmmClient implements AutoCloseable {
  private static final Duration EXIT_WITHIN = Patience.ofSeconds(20);

  private final Path directory;
  private final UnixListener listener;
  private final ProcessHandleFd process;
  private @Nullable MessageSocket socket;
  private long nextId = 1;
  private VmmStatus lastEvent = VmmStatus.getDefaultInstance();

  private VmmClient(Path directory, UnixListener listener, ProcessHandleFd process) {
    this.directory = directory;
    this.listener = listener;
    this.process = process;
    connect();
  }

  /**
   * Spawns {@code executable arguments…} with the listening socket as descriptor 3, and {@code
   * more} after that.
   */
  static VmmClient spawn(
      Path workingDirectory, String executable, List<String> arguments, Fd... more)
      throws IOException {
    List<Fd> inherited = new ArrayList<>();
    Path directory = Files.createTempDirectory("vmm");
    UnixListener listener = UnixListener.bind(directory.resolve("vmm.sock").toString(), 4);
    inherited.add(listener.fd());
    inherited.addAll(List.of(more));
    try (Fd log = Fd.open(directory.resolve("log").toString(), Fd.O_RDWR | Fd.O_CREAT, 0600)) {
      ProcessHandleFd process =
          Spawner.spawn(
              new Spawner.Command(
                  executable,
                  arguments,
                  Map.of("MALLOC_ARENA_MAX", "1"),
                  workingDirectory.toString(),
                  log,
                  inherited,
                  true));
      return new VmmClient(directory, listener, process);
    }
  }

  /**
   * The packaged one in the directory that {@code -Dvireo.test.vmm} names, where starting another
   * costs too much; otherwise that of the class path.
   */
  static VmmClient spawn() throws IOException {
    String home = System.getProperty("vireo.test.vmm");
    return home == null
        ? spawnFromClassPath()
        : spawn(Path.of(home), home + "/runtime/bin/java", List.of("@vmm.args"));
  }

  /** From the classes of this build, with this JVM and {@code more} arguments of its. */
  static VmmClient spawnFromClassPath(String... more) throws IOException {
    List<String> arguments = new ArrayList<>(List.of(more));
    arguments.addAll(
        List.of(
            "-cp",
            System.getProperty("java.class.path"),
            "-Dvireo.libc=jffi",
            "--enable-native-access=ALL-UNNAMED",
            "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1",
            "-Xrs",
            "dev.vireo.vmm.Main"));
    return spawn(Path.of("/"), System.getProperty("java.home") + "/bin/java", arguments);
  }

  /** The packaged one, {@code target/vmm}, warmed up. */
  static VmmClient spawnPackaged(Path home, Fd kvm) throws IOException {
    return spawn(
        home,
        home.resolve("runtime/bin/java").toString(),
        List.of("@vmm.args", "--rehearse=4"),
        kvm);
  }

  /** A create request and the files it speaks of. */
  static final class Create {
    private final CreateRequest.Builder request = CreateRequest.newBuilder();
    private final List<Fd> descriptors = new ArrayList<>();

    Create(Fd kvm, Fd kernel, Fd console, Fd exitRecord) {
      request
          .setMicrovmUid("uid-1")
          .setMicrovmName("projects/test/microvms/one")
          .setAttempt(1)
          .setVcpus(1)
          .setMemoryBytes(64 << 20)
          .setKvmFd(add(kvm))
          .setKernel(
              Kernel.newBuilder()
                  .setKernelFd(add(kernel))
                  .setAnnouncement(AnnouncementMode.ANNOUNCE_CMDLINE))
          .setConsole(SerialConsole.newBuilder().setOutputFd(add(console)).setMaxBytes(1 << 20))
          .setExitRecordFd(add(exitRecord));
    }

    private int add(Fd descriptor) {
      descriptors.add(descriptor);
      return descriptors.size() - 1;
    }

    CreateRequest.Builder request() {
      return request;
    }

    Create commandLine(String arguments) {
      request.setKernel(request.getKernel().toBuilder().setCommandLine(arguments));
      return this;
    }

    Create announcement(AnnouncementMode mode) {
      request.setKernel(request.getKernel().toBuilder().setAnnouncement(mode));
      return this;
    }

    Create readyMarker(String marker) {
      request.setConsole(request.getConsole().toBuilder().setReadyMarker(marker));
      return this;
    }

    Create initramfs(Fd initramfs) {
      request.setKernel(request.getKernel().toBuilder().setInitramfsFd(add(initramfs)));
      return this;
    }

    /** The guest's CID, and a socket that listens. */
    Create vsock(int cid, Fd listener) {
      request.addDevices(
          Device.newBuilder()
              .setId("vsock")
              .setVsock(VsockDevice.newBuilder().setGuestCid(cid).setListenerFd(add(listener))));
      return this;
    }

    Create entropy() {
      request.addDevices(
          Device.newBuilder().setId("entropy").setEntropy(EntropyDevice.getDefaultInstance()));
      return this;
    }

    Create disk(String id, Fd file) {
      request.addDevices(
          Device.newBuilder()
              .setId(id)
              .setBlock(
                  BlockDevice.newBuilder()
                      .setFileFd(add(file))
                      .setCapacityBytes(file.size())
                      .setQueues(1)
                      .setLogicalBlockBytes(512)
                      .setPhysicalBlockBytes(4096)
                      .setMemoryAlignment(1)
                      .setDiscards(true)));
      return this;
    }
  }

  void connect() {
    socket = MessageSocket.connect(directory.resolve("vmm.sock").toString());
  }

  /** As a worker that is killed. */
  void disconnect() {
    socket().close();
    socket = null;
  }

  private MessageSocket socket() {
    if (socket == null) {
      throw new IllegalStateException("not connected");
    }
    return socket;
  }

  VmmResponse create(Create create) {
    return request(VmmRequest.newBuilder().setCreate(create.request), create.descriptors);
  }

  VmmResponse status() {
    return request(VmmRequest.newBuilder().setStatus(StatusRequest.getDefaultInstance()));
  }

  VmmResponse inspect() {
    return request(VmmRequest.newBuilder().setInspect(InspectRequest.getDefaultInstance()));
  }

  VmmResponse beginTrace(BeginTraceRequest.Builder wanted) {
    return request(VmmRequest.newBuilder().setBeginTrace(wanted));
  }

  VmmResponse readTrace(int mostRecords) {
    return request(
        VmmRequest.newBuilder()
            .setReadTrace(ReadTraceRequest.newBuilder().setMostRecords(mostRecords)));
  }

  VmmResponse endTrace() {
    return request(VmmRequest.newBuilder().setEndTrace(EndTraceRequest.getDefaultInstance()));
  }

  VmmResponse pause() {
    return request(VmmRequest.newBuilder().setPause(PauseRequest.getDefaultInstance()));
  }

  VmmResponse resume() {
    return request(VmmRequest.newBuilder().setResume(ResumeRequest.getDefaultInstance()));
  }

  VmmResponse stop(int graceMillis) {
    return request(
        VmmRequest.newBuilder().setStop(StopRequest.newBuilder().setGraceMs(graceMillis)));
  }

  VmmResponse release() {
    return request(VmmRequest.newBuilder().setRelease(ReleaseRequest.getDefaultInstance()));
  }

  private VmmResponse request(VmmRequest.Builder request) {
    return request(request, List.of());
  }

  private VmmResponse request(VmmRequest.Builder request, List<Fd> descriptors) {
    long id = nextId++;
    socket().send(request.setId(id).build().toByteArray(), descriptors);
    while (true) {
      VmmMessage message = receive();
      if (message.hasResponse() && message.getResponse().getId() == id) {
        return message.getResponse();
      }
    }
  }

  /** A whole message that is no request. */
  void sendGarbage() {
    socket().send(new byte[] {(byte) 0xff, (byte) 0xff, (byte) 0xff});
  }

  /** A request that nobody makes, as long as a message may be. */
  void sendLargest() {
    CreateRequest name =
        CreateRequest.newBuilder()
            .setMicrovmName("x".repeat(MessageSocket.MAX_MESSAGE_BYTES - 16))
            .build();
    socket().send(VmmRequest.newBuilder().setCreate(name).build().toByteArray());
  }

  /** Waits for the VMM to close the connection. */
  void awaitDisconnection() {
    if (socket().receive() != null) {
      throw new IllegalStateException("a message; the VMM's log: " + log());
    }
  }

  /** Waits for an event, or takes the last one, whose status is as wanted. */
  VmmStatus awaitStatus(Predicate<VmmStatus> wanted) {
    while (!wanted.test(lastEvent)) {
      var _ = receive();
    }
    return lastEvent;
  }

  VmmStatus awaitEnd() {
    return awaitStatus(status -> status.getState() == VmmState.VMM_ENDED);
  }

  private VmmMessage receive() {
    MessageSocket.Message message = socket().receive();
    if (message == null) {
      throw new IllegalStateException("the VMM closed the connection; its log: " + log());
    }
    try {
      VmmMessage parsed = VmmMessage.parseFrom(message.bytes());
      if (parsed.hasEvent()) {
        lastEvent = parsed.getEvent().getStatus();
      }
      return parsed;
    } catch (InvalidProtocolBufferException e) {
      throw new IllegalStateException(e);
    }
  }

  ProcessHandleFd process() {
    return process;
  }

  Optional<ProcessHandleFd.Exit> awaitExit() {
    return process.awaitExit(EXIT_WITHIN);
  }

  /** The process's own log. */
  String log() {
    try {
      return Files.readString(directory.resolve("log"));
    } catch (IOException e) {
      return e.toString();
    }
  }

  /** Proportional memory in KiB and other fields of {@code /proc/<pid>/smaps_rollup}. */
  Map<String, Long> memoryKib() throws IOException {
    Map<String, Long> fields = new HashMap<>();
    for (String line : Files.readAllLines(Path.of("/proc/" + process.pid() + "/smaps_rollup"))) {
      String[] words = line.trim().split("\\s+", -1);
      if (words.length == 3 && words[2].equals("kB")) {
        fields.put(words[0], Long.valueOf(words[1]));
      }
    }
    return fields;
  }

  /** Nanoseconds of CPU that its living threads have had ({@code schedstat} of {@code proc(5)}). */
  long cpuNanos() throws IOException {
    long sum = 0;
    try (var tasks = Files.list(Path.of("/proc/" + process.pid() + "/task"))) {
      for (Path task : tasks.toList()) {
        try {
          sum += Long.parseLong(Files.readString(task.resolve("schedstat")).split(" ", -1)[0]);
        } catch (NoSuchFileException e) {
          // This thread has just ended.
        }
      }
    }
    return sum;
  }

  @Override
  public void close() {
    process.signal(ProcessHandleFd.SIGKILL);
    if (process.awaitExit(EXIT_WITHIN).isEmpty()) {
      throw new IllegalStateException("the VMM does not end");
    }
    process.close();
    if (socket != null) {
      socket.close();
    }
    listener.close();
    try {
      Files.deleteIfExists(directory.resolve("log"));
      Files.deleteIfExists(directory.resolve("vmm.sock"));
      Files.deleteIfExists(directory);
    } catch (IOException e) {
      throw new IllegalStateException(e);
    }
  }
}

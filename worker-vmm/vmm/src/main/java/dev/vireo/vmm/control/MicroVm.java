package dev.vireo.vmm.control;

import static java.util.Objects.requireNonNull;

import com.google.protobuf.MessageLite;
import dev.vireo.linux.Errno;
import dev.vireo.linux.Fd;
import dev.vireo.linux.Linux;
import dev.vireo.linux.LinuxException;
import dev.vireo.linux.MonotonicClock;
import dev.vireo.proto.errors.ErrorReason;
import dev.vireo.proto.vmm.v1.BeginTraceRequest;
import dev.vireo.proto.vmm.v1.BlockDevice;
import dev.vireo.proto.vmm.v1.ConsolePort;
import dev.vireo.proto.vmm.v1.ConsolePortSize;
import dev.vireo.proto.vmm.v1.CreateRequest;
import dev.vireo.proto.vmm.v1.Device;
import dev.vireo.proto.vmm.v1.DiskEngine;
import dev.vireo.proto.vmm.v1.EndCause;
import dev.vireo.proto.vmm.v1.InspectRequest;
import dev.vireo.proto.vmm.v1.NetDevice;
import dev.vireo.proto.vmm.v1.ReadTraceRequest;
import dev.vireo.proto.vmm.v1.ResizeConsoleRequest;
import dev.vireo.proto.vmm.v1.ResizeMemoryRequest;
import dev.vireo.proto.vmm.v1.TraceBatch;
import dev.vireo.proto.vmm.v1.VmmInspection;
import dev.vireo.proto.vmm.v1.VmmState;
import dev.vireo.proto.vmm.v1.VmmStatus;
import dev.vireo.proto.vmm.v1.VmmTimings;
import dev.vireo.proto.vmm.v1.VsockDialed;
import dev.vireo.vmm.backend.DiskGeometry;
import dev.vireo.vmm.backend.HostRandom;
import dev.vireo.vmm.backend.RawFile;
import dev.vireo.vmm.backend.Tap;
import dev.vireo.vmm.boot.SpecException;
import dev.vireo.vmm.kvm.Kvm;
import dev.vireo.vmm.machine.ConsoleFile;
import dev.vireo.vmm.machine.Machine;
import dev.vireo.vmm.machine.MachineFactory;
import dev.vireo.vmm.memory.HotplugLayout;
import dev.vireo.vmm.virtio.VirtioDevice;
import dev.vireo.vmm.virtio.balloon.BalloonDevice;
import dev.vireo.vmm.virtio.block.BlockDevice.Engine;
import dev.vireo.vmm.virtio.block.DiskLog;
import dev.vireo.vmm.virtio.console.ConsoleDevice;
import dev.vireo.vmm.virtio.console.ConsoleSize;
import dev.vireo.vmm.virtio.console.PortSetup;
import dev.vireo.vmm.virtio.memory.MemoryDevice;
import dev.vireo.vmm.virtio.rng.EntropyDevice;
import dev.vireo.vmm.virtio.vsock.Dialer;
import dev.vireo.vmm.virtio.vsock.VsockDevice;
import java.time.Duration;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * The one microVM of this process, from the create request to its end. States go one way: idle,
 * starting, running and paused to and fro, stopping, ended.
 *
 * <p>Requests come on the control thread, news from the machine on vCPU threads.
 */
final class MicroVm implements Machine.Listener, ConsoleFile.Listener, Dialer {
  /** Who wants to know. Called on any thread, without a lock of ours. */
  interface Listener {
    /** Something of {@link #status} has changed that is worth an event. */
    void changed();

    /** A line for the log. */
    void log(String what);

    /**
     * The guest wants to connect to a port of the host; see {@link Dialer#dial}.
     *
     * @return false if no worker is there
     */
    boolean dial(int key, int port);

    /** It has ended, is cleaned up, and its exit record is written. */
    void ended();
  }

  private final MachineFactory machines;
  private final InstantSource time;
  private final Listener listener;
  private final DiskLog diskLog;
  private final Tracing tracing = new Tracing();

  private VmmState state = VmmState.VMM_IDLE;
  private CreateRequest request = CreateRequest.getDefaultInstance();
  private @Nullable Machine machine;
  private @Nullable ConsoleFile console;
  private @Nullable VsockDevice vsock;
  private @Nullable BalloonDevice balloon;
  private @Nullable MemoryDevice memoryDevice;
  private @Nullable ConsoleDevice consoleDevice;
  private @Nullable Fd consoleFile;
  private @Nullable Fd exitRecord;
  private EndCause endCause = EndCause.END_CAUSE_UNSPECIFIED;
  private String endMessage = "";
  private boolean stopRequested;
  private boolean consoleReady;
  private final VmmTimings.Builder timings = VmmTimings.newBuilder();

  MicroVm(MachineFactory machines, InstantSource time, Listener listener) {
    this.machines = machines;
    this.time = time;
    this.listener = listener;
    this.diskLog =
        new DiskLog() { // No lambda: it would be a class made on the way to the guest.
          @Override
          public void line(String what) {
            listener.log(what);
          }
        };
  }

  synchronized VmmState state() {
    return state;
  }

  synchronized VmmStatus status() {
    Machine current = machine;
    if (current != null) {
      timings.setFirstRunNs(current.firstRunNanos()).setFirstExitNs(current.firstExitNanos());
    }
    VmmStatus.Builder status =
        VmmStatus.newBuilder()
            .setState(state)
            .setPid(Linux.libc().getpid())
            .setMicrovmUid(request.getMicrovmUid())
            .setAttempt(request.getAttempt())
            .setEndCause(endCause)
            .setEndMessage(endMessage)
            .setConsoleBytes(console == null ? 0 : console.bytes())
            .setConsoleReady(consoleReady)
            .setTimings(timings);
    if (balloon != null) {
      status.setBalloonTargetBytes(balloon.targetBytes());
    }
    if (memoryDevice != null) {
      status.setHotplugRequestedBytes(memoryDevice.requestedBytes());
    }
    return status.build();
  }

  /**
   * Makes and starts it. If that fails it has ended: this process is good for no other.
   *
   * @param receivedNanos when the request arrived, by {@code System.nanoTime}
   * @throws RequestException with the catalogue's reason and the field to blame
   */
  void create(CreateRequest create, Descriptors descriptors, long receivedNanos)
      throws RequestException {
    synchronized (this) {
      if (state != VmmState.VMM_IDLE) {
        throw new RequestException(
            ErrorReason.STATE_CONFLICT, "", "this VMM has or had a microVM: " + state.name());
      }
      request = create;
      timings.setSpecReceivedNs(receivedNanos);
      state = VmmState.VMM_STARTING;
    }
    try {
      start(create, descriptors);
    } catch (SpecException e) {
      throw failedSetup(e.reason(), e.field(), e.getMessage(), e);
    } catch (LinuxException e) {
      boolean exhausted = e.errno() == Errno.ENOMEM || e.errno() == Errno.EMFILE;
      throw failedSetup(
          exhausted ? ErrorReason.NODE_RESOURCES_EXHAUSTED : ErrorReason.VMM_FAILED,
          "",
          e.getMessage(),
          e);
    } catch (RuntimeException e) {
      Log.bug("cannot set up the microVM", e);
      throw failedSetup(ErrorReason.INTERNAL, "", e.toString(), e);
    }
  }

  private void start(CreateRequest create, Descriptors descriptors) {
    Fd consoleOutput;
    ConsoleFile consoleLog;
    synchronized (this) {
      exitRecord = descriptors.take(create.getExitRecordFd());
      consoleOutput = descriptors.take(create.getConsole().getOutputFd());
      consoleFile = consoleOutput;
      consoleLog =
          new ConsoleFile(
              consoleOutput,
              create.getConsole().getMaxBytes(),
              create.getConsole().getReadyMarker(),
              this);
      console = consoleLog;
    }
    Machine made =
        machines.make(
            new Kvm(descriptors.get(create.getKvmFd())),
            spec(create, descriptors, consoleLog),
            time,
            this);
    synchronized (this) {
      machine = made;
      timings.setVmCreatedNs(System.nanoTime());
      state = VmmState.VMM_RUNNING;
    }
    made.start();
    listener.log("running " + create.getMicrovmName() + ", attempt " + create.getAttempt());
    listener.changed();
  }

  private Machine.Spec spec(CreateRequest create, Descriptors descriptors, ConsoleFile console) {
    HotplugLayout hotplug = hotplugLayout(create);
    return new Machine.Spec(
        create.getVcpus(),
        create.getMemoryBytes(),
        create.hasMemoryBacking()
            ? new Machine.MemoryFile(
                descriptors.get(create.getMemoryBacking().getMemoryFd()),
                create.getMemoryBacking().getPageBytes())
            : null,
        hotplug,
        descriptors.get(create.getKernel().getKernelFd()),
        create.getKernel().hasInitramfsFd()
            ? descriptors.get(create.getKernel().getInitramfsFd())
            : null,
        create.getKernel().getCommandLine(),
        create.getKernel().getAnnouncement(),
        create.getRegisterPage(),
        devices(create, hotplug, descriptors),
        console);
  }

  /** Where memory can be plugged, if a device for that is among those wanted. */
  private static @Nullable HotplugLayout hotplugLayout(CreateRequest create) {
    for (Device device : create.getDevicesList()) {
      if (device.hasMemory()) {
        return new HotplugLayout(
            MachineFactory.hotplugBase(create.getMemoryBytes()),
            device.getMemory().getMaximumBytes(),
            device.getMemory().getBlockBytes());
      }
    }
    return null;
  }

  private List<VirtioDevice> devices(
      CreateRequest create, @Nullable HotplugLayout hotplug, Descriptors descriptors) {
    List<VirtioDevice> devices = new ArrayList<>(create.getDevicesCount());
    try {
      for (Device device : create.getDevicesList()) {
        devices.add(device(device, hotplug, descriptors));
      }
      return devices;
    } catch (RuntimeException e) {
      devices.forEach(VirtioDevice::close);
      throw e;
    }
  }

  private VirtioDevice device(
      Device device, @Nullable HotplugLayout hotplug, Descriptors descriptors) {
    return switch (device.getDeviceCase()) {
      case BLOCK -> disk(device.getId(), device.getBlock(), descriptors);
      case NET -> network(device.getId(), device.getNet(), descriptors);
      case VSOCK -> vsock(device, descriptors);
      case ENTROPY ->
          new EntropyDevice(
              device.getId(), new HostRandom(), RateLimits.of(device.getEntropy().getRateLimit()));
      case BALLOON -> balloon(device);
      case CONSOLE -> consoleDevice(device.getId(), device.getConsole(), descriptors);
      case MEMORY -> memoryDevice(device, requireNonNull(hotplug, "no layout"));
      case DEVICE_NOT_SET ->
          throw new IllegalArgumentException("device " + device.getId() + " of no known model");
    };
  }

  private VirtioDevice disk(String id, BlockDevice block, Descriptors descriptors) {
    DiskGeometry geometry =
        new DiskGeometry(
            block.getCapacityBytes(),
            block.getLogicalBlockBytes(),
            block.getPhysicalBlockBytes(),
            block.getMemoryAlignment(),
            block.getBlockDevice(),
            block.getDiscards());
    var settings =
        new dev.vireo.vmm.virtio.block.BlockDevice.Settings(
            block.getReadOnly(),
            block.getQueues(),
            RateLimits.of(block.getRateLimit()),
            engine(block.getEngine()),
            diskLog);
    Fd file = descriptors.take(block.getFileFd());
    Fd cached = block.hasCachedFd() ? descriptors.take(block.getCachedFd()) : null;
    return new dev.vireo.vmm.virtio.block.BlockDevice(
        id, new RawFile(file, cached, geometry), settings);
  }

  private static Engine engine(DiskEngine engine) {
    return switch (engine) {
      case DISK_ENGINE_AUTO, UNRECOGNIZED -> Engine.AUTO;
      case DISK_ENGINE_THREAD -> Engine.THREAD;
      case DISK_ENGINE_IO_URING -> Engine.IO_URING;
    };
  }

  private static VirtioDevice network(String id, NetDevice network, Descriptors descriptors) {
    List<Tap> taps = new ArrayList<>(network.getTapFdsCount());
    try {
      for (int fd : network.getTapFdsList()) {
        taps.add(new Tap(descriptors.take(fd)));
      }
      return new dev.vireo.vmm.virtio.net.NetDevice(
          id,
          network.getMacAddress().toByteArray(),
          network.getMtu(),
          RateLimits.of(network.getRxRateLimit()),
          RateLimits.of(network.getTxRateLimit()),
          taps,
          MonotonicClock.INSTANCE);
    } catch (RuntimeException e) {
      taps.forEach(Tap::close);
      throw e;
    }
  }

  private VsockDevice vsock(Device device, Descriptors descriptors) {
    VsockDevice made =
        new VsockDevice(
            device.getId(),
            device.getVsock().getGuestCid(),
            descriptors.take(device.getVsock().getListenerFd()),
            this);
    synchronized (this) {
      vsock = made;
    }
    return made;
  }

  private BalloonDevice balloon(Device device) {
    dev.vireo.proto.vmm.v1.BalloonDevice wanted = device.getBalloon();
    BalloonDevice made =
        new BalloonDevice(
            device.getId(),
            wanted.getTargetBytes(),
            Duration.ofMillis(Integer.toUnsignedLong(wanted.getStatisticsIntervalMs())),
            wanted.getDeflateOnOom(),
            wanted.getFreePageReporting());
    synchronized (this) {
      balloon = made;
    }
    return made;
  }

  private MemoryDevice memoryDevice(Device device, HotplugLayout layout) {
    MemoryDevice made =
        new MemoryDevice(device.getId(), layout, device.getMemory().getRequestedBytes());
    synchronized (this) {
      memoryDevice = made;
    }
    return made;
  }

  private ConsoleDevice consoleDevice(
      String id, dev.vireo.proto.vmm.v1.ConsoleDevice of, Descriptors descriptors) {
    List<PortSetup> ports = new ArrayList<>(of.getPortsCount());
    try {
      for (ConsolePort port : of.getPortsList()) {
        ports.add(
            new PortSetup(
                port.getName(),
                port.getConsole(),
                size(port.getSize()),
                descriptors.take(port.getListenerFd())));
      }
      ConsoleDevice made =
          new ConsoleDevice(
              id,
              ports,
              RateLimits.of(of.getRxRateLimit()),
              RateLimits.of(of.getTxRateLimit()),
              MonotonicClock.INSTANCE);
      synchronized (this) {
        ports = List.of();
        consoleDevice = made;
      }
      return made;
    } finally {
      for (PortSetup port : ports) {
        port.listener().close();
      }
    }
  }

  private static ConsoleSize size(dev.vireo.proto.vmm.v1.ConsoleSize size) {
    return new ConsoleSize(size.getColumns(), size.getRows());
  }

  /** Tells the guest of its consoles' sizes. */
  void resizeConsole(ResizeConsoleRequest resize) throws RequestException {
    ConsoleDevice current;
    synchronized (this) {
      current = consoleDevice;
    }
    Machine _ = machineIn(VmmState.VMM_RUNNING, VmmState.VMM_PAUSED, VmmState.VMM_STOPPING);
    if (current == null) {
      throw new RequestException(
          ErrorReason.STATE_CONFLICT, "virtio_console", "this microVM has no console device");
    }
    for (ConsolePortSize port : resize.getPortsList()) {
      current.resize(port.getPort(), size(port.getSize()));
    }
  }

  @Override
  public boolean dial(int key, int port) {
    return listener.dial(key, port);
  }

  /** The worker's answer to {@link Listener#dial}. */
  void dialed(VsockDialed answer, Descriptors descriptors) {
    Fd connection = answer.hasConnectionFd() ? descriptors.take(answer.getConnectionFd()) : null;
    VsockDevice current = vsock();
    if (current != null) {
      current.dialed(answer.getKey(), connection);
    } else if (connection != null) {
      connection.close();
    }
  }

  /** Nobody will answer what was dialed any more, nor read a trace. */
  void workerLost() {
    tracing.end();
    VsockDevice current = vsock();
    if (current != null) {
      current.workerLost();
    }
  }

  private synchronized @Nullable VsockDevice vsock() {
    return vsock;
  }

  private RequestException failedSetup(
      ErrorReason reason, String field, @Nullable String message, Throwable cause) {
    finish(EndCause.END_SETUP_FAILED, reason + ": " + message);
    return new RequestException(reason, field, String.valueOf(message), cause);
  }

  /** Returns when no vCPU is in the guest. */
  void pause() throws RequestException, InterruptedException {
    Machine current = machineIn(VmmState.VMM_RUNNING, VmmState.VMM_PAUSED);
    current.pause();
    move(VmmState.VMM_RUNNING, VmmState.VMM_PAUSED);
  }

  void resume() throws RequestException {
    Machine current = machineIn(VmmState.VMM_RUNNING, VmmState.VMM_PAUSED);
    move(VmmState.VMM_PAUSED, VmmState.VMM_RUNNING);
    current.resume();
  }

  /** Asks the guest for other sizes of what it can be asked for. Does not wait for it. */
  void resizeMemory(ResizeMemoryRequest wanted) throws RequestException {
    machineIn(VmmState.VMM_RUNNING, VmmState.VMM_PAUSED);
    // Both are looked at before either is changed.
    BalloonDevice resized =
        wanted.hasBalloonTargetBytes() ? balloonFor(wanted.getBalloonTargetBytes()) : null;
    MemoryDevice toPlug =
        wanted.hasHotplugRequestedBytes()
            ? memoryDeviceFor(wanted.getHotplugRequestedBytes())
            : null;
    if (resized != null) {
      resized.setTarget(wanted.getBalloonTargetBytes());
    }
    if (toPlug != null) {
      toPlug.setRequested(wanted.getHotplugRequestedBytes());
    }
  }

  private synchronized MemoryDevice memoryDeviceFor(long requestedBytes) throws RequestException {
    if (memoryDevice == null) {
      throw new RequestException(
          ErrorReason.FIELD_INVALID, "memory_hotplug", "no memory can be plugged");
    }
    if (!memoryDevice.isPossible(requestedBytes)) {
      throw new RequestException(
          ErrorReason.FIELD_INVALID,
          "memory_hotplug.size_mib",
          Long.toUnsignedString(requestedBytes)
              + " bytes are not whole blocks, or more than the microVM may have");
    }
    return memoryDevice;
  }

  private synchronized BalloonDevice balloonFor(long targetBytes) throws RequestException {
    if (balloon == null) {
      throw new RequestException(ErrorReason.FIELD_INVALID, "balloon", "there is no balloon");
    }
    if (Long.compareUnsigned(targetBytes, request.getMemoryBytes()) > 0) {
      throw new RequestException(
          ErrorReason.FIELD_INVALID,
          "balloon.target_mib",
          Long.toUnsignedString(targetBytes) + " bytes are more than the microVM has");
    }
    return balloon;
  }

  /**
   * Asks the guest to power off, and ends it if it has not after the grace; with no grace ends it
   * at once. Does not wait for the end. Harmless if it has ended.
   */
  void stop(long graceMillis) throws RequestException {
    Machine current;
    boolean first;
    synchronized (this) {
      if (state == VmmState.VMM_ENDED) {
        return;
      }
      current = machineIn(VmmState.VMM_RUNNING, VmmState.VMM_PAUSED, VmmState.VMM_STOPPING);
      first = !stopRequested;
      stopRequested = true;
      state = VmmState.VMM_STOPPING;
    }
    if (first) {
      listener.log("stopping, grace " + graceMillis + " ms");
      listener.changed();
    }
    if (graceMillis == 0) {
      current.stop("stopped");
      return;
    }
    current.resume();
    current.pressPowerButton();
    Thread.ofPlatform().daemon().name("grace").start(() -> stopAfter(current, graceMillis));
  }

  private void stopAfter(Machine current, long graceMillis) {
    long deadline = System.nanoTime() + graceMillis * 1_000_000L;
    synchronized (this) {
      try {
        long leftMillis = graceMillis;
        while (state != VmmState.VMM_ENDED && leftMillis > 0) {
          wait(leftMillis);
          leftMillis = (deadline - System.nanoTime() + 999_999) / 1_000_000;
        }
      } catch (InterruptedException e) {
        return; // Nobody does.
      }
    }
    current.stop("the guest did not power off within " + graceMillis + " ms, so it was stopped");
  }

  private synchronized Machine machineIn(VmmState... allowed) throws RequestException {
    Machine current = machine;
    for (VmmState one : allowed) {
      if (state == one && current != null) {
        return current;
      }
    }
    throw new RequestException(ErrorReason.STATE_CONFLICT, "", "the microVM is " + state.name());
  }

  private void move(VmmState from, VmmState to) {
    synchronized (this) {
      if (state != from) {
        return;
      }
      state = to;
    }
    listener.log(to == VmmState.VMM_PAUSED ? "paused" : "resumed");
    listener.changed();
  }

  /** Counters and devices of the microVM, as far as there is one. */
  VmmInspection inspect(InspectRequest wanted) {
    VmmInspection.Builder inspection = VmmInspection.newBuilder().setStatus(status());
    Machine current;
    synchronized (this) {
      current = machine;
      inspection.setAnnouncement(request.getKernel().getAnnouncement());
    }
    inspection.setCompiler(Inspections.compiler());
    if (current != null) {
      Inspections.fill(inspection, current, wanted.getCountersOnly());
    }
    return inspection.build();
  }

  /** Begins to trace. */
  void beginTrace(BeginTraceRequest wanted) throws RequestException {
    tracing.begin(
        wanted, machineIn(VmmState.VMM_RUNNING, VmmState.VMM_PAUSED, VmmState.VMM_STOPPING));
  }

  /** What was traced since this was last asked, also if it has ended. */
  TraceBatch readTrace(ReadTraceRequest wanted) throws RequestException {
    return tracing.read(wanted.getMostRecords());
  }

  void endTrace() {
    tracing.end();
  }

  @Override
  public void guestRan() {
    listener.changed();
  }

  @Override
  public void consoleStarted() {
    synchronized (this) {
      timings.setFirstConsoleByteNs(System.nanoTime());
    }
    listener.changed();
  }

  @Override
  public void consoleReady() {
    synchronized (this) {
      consoleReady = true;
    }
    listener.changed();
  }

  @Override
  public void ended(EndCause cause, String message) {
    Machine current;
    boolean asAsked;
    synchronized (this) {
      current = machine;
      asAsked = stopRequested && cause == EndCause.END_GUEST_POWER_OFF;
    }
    if (current != null) {
      try {
        current.close();
      } catch (RuntimeException | Error e) { // Its end is told and written down all the same.
        Log.bug("cannot free the machine", e);
      }
    }
    if (asAsked) {
      finish(EndCause.END_STOPPED_BY_REQUEST, "the guest powered off as asked");
    } else {
      finish(cause, message);
    }
  }

  private void finish(EndCause cause, String message) {
    synchronized (this) {
      state = VmmState.VMM_ENDED;
      endCause = cause;
      endMessage = message;
      writeExitRecord();
      if (consoleFile != null) {
        consoleFile.close();
      }
      notifyAll();
    }
    listener.log("ended: " + message);
    listener.changed();
    listener.ended();
  }

  private void writeExitRecord() {
    if (exitRecord == null) {
      return;
    }
    MessageLite last = status();
    try (Fd record = exitRecord) {
      record.writeFully(last.toByteArray(), 0);
    } catch (LinuxException e) {
      listener.log("cannot write the exit record: " + e.getMessage());
    }
  }
}

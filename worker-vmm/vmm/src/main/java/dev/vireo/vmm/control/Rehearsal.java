package dev.vireo.vmm.control;

import com.google.protobuf.InvalidProtocolBufferException;
import dev.vireo.linux.Fd;
import dev.vireo.linux.Linux;
import dev.vireo.linux.MessageSocket;
import dev.vireo.proto.vmm.v1.AnnouncementMode;
import dev.vireo.proto.vmm.v1.BlockDevice;
import dev.vireo.proto.vmm.v1.CreateRequest;
import dev.vireo.proto.vmm.v1.Device;
import dev.vireo.proto.vmm.v1.Kernel;
import dev.vireo.proto.vmm.v1.SerialConsole;
import dev.vireo.proto.vmm.v1.VmmEvent;
import dev.vireo.proto.vmm.v1.VmmMessage;
import dev.vireo.proto.vmm.v1.VmmRequest;
import dev.vireo.vmm.boot.TinyKernel;
import dev.vireo.vmm.kvm.Kvm;
import dev.vireo.vmm.machine.MachineFactory;
import java.time.InstantSource;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;

/**
 * What an idle VMM does before it says that it is ready: takes a tiny guest through a whole life,
 * so that the next create finds every class loaded, and its code and pages warm.
 */
public final class Rehearsal {
  /** After the first nothing is cold; the others make some of it compiled, if there is time. */
  private static final int ROUNDS = 3;

  private static final long ENOUGH_NANOS = 500_000_000;

  private static final int DISK_BYTES = 4096;
  private static final long TIMEOUT_SECONDS = 10;

  private Rehearsal() {}

  /**
   * Leaves {@code machines} prepared. Never fails: a VMM that could not rehearse is slower, not
   * worse.
   */
  public static void run(Fd kvm, MachineFactory machines) {
    try {
      long start = System.nanoTime();
      for (int round = 0; round < ROUNDS && System.nanoTime() - start < ENOUGH_NANOS; round++) {
        play(kvm, machines);
      }
      machines.prepare(new Kvm(kvm));
    } catch (RequestException | RuntimeException | InvalidProtocolBufferException e) {
      Log.line("could not rehearse: " + e.getMessage());
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  private static void play(Fd kvm, MachineFactory machines)
      throws RequestException, InvalidProtocolBufferException, InterruptedException {
    List<MessageSocket> pair = MessageSocket.pair();
    try (MessageSocket worker = pair.get(0);
        MessageSocket vmm = pair.get(1);
        Fd kernel = TinyKernel.file(RehearsalGuest.kernel());
        Fd console = Fd.memory("console", 0);
        Fd exitRecord = Fd.memory("exit record", 0);
        Fd disk = Fd.memory("disk", DISK_BYTES)) {
      worker.send(request().toByteArray(), List.of(kvm, kernel, console, exitRecord, disk));
      MessageSocket.Message message = vmm.receive();
      if (message == null) {
        throw new IllegalStateException("the socket pair is closed");
      }
      Ended ended = new Ended(vmm);
      machines.prepare(new Kvm(kvm));
      MicroVm microVm = new MicroVm(machines, InstantSource.system(), ended);
      ended.microVm = microVm;
      try (Descriptors descriptors = new Descriptors(message.descriptors())) {
        VmmRequest request = VmmRequest.parseFrom(message.bytes());
        microVm.create(request.getCreate(), descriptors, System.nanoTime());
      }
      if (!ended.latch.await(TIMEOUT_SECONDS, TimeUnit.SECONDS)) {
        microVm.stop(0);
        throw new IllegalStateException("the guest did not power off");
      }
    }
  }

  private static VmmRequest request() {
    return VmmRequest.newBuilder()
        .setId(1)
        .setCreate(
            CreateRequest.newBuilder()
                .setMicrovmName("rehearsal")
                .setVcpus(1)
                .setMemoryBytes(16 << 20)
                .setKvmFd(0)
                .setKernel(
                    Kernel.newBuilder()
                        .setKernelFd(1)
                        .setCommandLine("console=ttyS0")
                        .setAnnouncement(
                            Linux.X86_64
                                ? AnnouncementMode.ANNOUNCE_CMDLINE
                                : AnnouncementMode.ANNOUNCE_FDT))
                .addDevices(
                    Device.newBuilder()
                        .setId("disk")
                        .setBlock(
                            BlockDevice.newBuilder()
                                .setFileFd(4)
                                .setCapacityBytes(DISK_BYTES)
                                .setQueues(1)
                                .setLogicalBlockBytes(512)
                                .setPhysicalBlockBytes(DISK_BYTES)
                                .setMemoryAlignment(1)
                                .setDiscards(true)))
                .setConsole(
                    SerialConsole.newBuilder()
                        .setOutputFd(2)
                        .setMaxBytes(1 << 20)
                        .setReadyMarker("ready"))
                .setExitRecordFd(3))
        .build();
  }

  /** Sends the events, as to a worker, and waits for the last. */
  private static final class Ended implements MicroVm.Listener {
    private final CountDownLatch latch = new CountDownLatch(1);
    private final MessageSocket vmm;
    private volatile @Nullable MicroVm microVm;

    Ended(MessageSocket vmm) {
      this.vmm = vmm;
    }

    @Override
    public void changed() {
      MicroVm current = microVm;
      if (current != null) {
        VmmEvent event = VmmEvent.newBuilder().setStatus(current.status()).build();
        vmm.send(VmmMessage.newBuilder().setEvent(event).build().toByteArray());
      }
    }

    @Override
    public boolean dial(int key, int port) {
      return false;
    }

    @Override
    public void log(String what) {
      // It is only a rehearsal.
    }

    @Override
    public void ended() {
      latch.countDown();
    }
  }
}

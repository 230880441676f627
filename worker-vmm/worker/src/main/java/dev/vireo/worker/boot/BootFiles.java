package dev.vireo.worker.boot;

import dev.vireo.linux.Fd;
import dev.vireo.proto.v1.MicroVmSpec;
import dev.vireo.proto.vmm.v1.AnnouncementMode;
import dev.vireo.proto.vmm.v1.CreateRequest;
import dev.vireo.proto.vmm.v1.Kernel;
import dev.vireo.proto.vmm.v1.MemoryBacking;
import dev.vireo.proto.vmm.v1.RegisterPageMode;
import dev.vireo.proto.vmm.v1.SerialConsole;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * All that a spec names, checked and open: what a VMM is given. Owns its descriptors.
 *
 * @param commandLine whole but for the announcements of devices in CMDLINE mode
 * @param devices in the order of the guest's slots
 */
public record BootFiles(
    Fd kvm,
    int vcpus,
    OpenMemory memory,
    Fd kernel,
    Optional<Fd> initramfs,
    String commandLine,
    AnnouncementMode announcement,
    RegisterPageMode registerPage,
    List<OpenDevice> devices,
    long consoleMaxBytes,
    String readyMarker)
    implements AutoCloseable {
  private static final long DEFAULT_CONSOLE_BYTES = 1 << 20;

  /** A VMM's orders, and the descriptors that they name by index. The descriptors stay borrowed. */
  public record Orders(CreateRequest.Builder request, List<Fd> descriptors) {}

  /**
   * Gives each device what it has of its own in {@code directory}: a disk that is a template its
   * private copy, unless it has one from an earlier run; a vsock or console device its sockets. The
   * first side effect of a create.
   */
  public BootFiles withPrivateFiles(Path directory) throws IOException {
    List<OpenDevice> own = new ArrayList<>();
    try {
      for (OpenDevice device : devices) {
        own.add(device.withPrivateFiles(directory));
      }
    } catch (IOException | RuntimeException e) {
      own.forEach(OpenDevice::close);
      throw e;
    }
    return new BootFiles(
        kvm,
        vcpus,
        memory,
        kernel,
        initramfs,
        commandLine,
        announcement,
        registerPage,
        List.copyOf(own),
        consoleMaxBytes,
        readyMarker);
  }

  /** How much of the console a spec wants kept. */
  public static long consoleMaxBytes(MicroVmSpec spec) {
    long wanted = spec.getConsole().getMaxBytes();
    return wanted == 0 ? DEFAULT_CONSOLE_BYTES : wanted;
  }

  /** What to tell the VMM of the microVM of this uid, but for its name and attempt. */
  public Orders orders(String microVmUid, Fd console, Fd exitRecord) {
    List<Fd> descriptors = new ArrayList<>();
    CreateRequest.Builder request =
        CreateRequest.newBuilder()
            .setMicrovmUid(microVmUid)
            .setVcpus(vcpus)
            .setMemoryBytes(memory.bytes())
            .setKvmFd(add(descriptors, kvm))
            .setRegisterPage(registerPage)
            .setConsole(
                SerialConsole.newBuilder()
                    .setOutputFd(add(descriptors, console))
                    .setMaxBytes(consoleMaxBytes)
                    .setReadyMarker(readyMarker))
            .setExitRecordFd(add(descriptors, exitRecord));
    Kernel.Builder boot =
        Kernel.newBuilder()
            .setKernelFd(add(descriptors, kernel))
            .setCommandLine(commandLine)
            .setAnnouncement(announcement);
    initramfs.ifPresent(file -> boot.setInitramfsFd(add(descriptors, file)));
    request.setKernel(boot);
    memory
        .file()
        .ifPresent(file ->
            request.setMemoryBacking(
                MemoryBacking.newBuilder()
                    .setMemoryFd(add(descriptors, file))
                    .setPageBytes(memory.pageBytes())));
    for (OpenDevice device : devices) {
      request.addDevices(device.order(microVmUid, descriptors));
    }
    return new Orders(request, descriptors);
  }

  /** Appends a descriptor, and returns its index. */
  static int add(List<Fd> descriptors, Fd descriptor) {
    descriptors.add(descriptor);
    return descriptors.size() - 1;
  }

  @Override
  public void close() {
    kvm.close();
    memory.close();
    kernel.close();
    initramfs.ifPresent(Fd::close);
    devices.forEach(OpenDevice::close);
  }
}

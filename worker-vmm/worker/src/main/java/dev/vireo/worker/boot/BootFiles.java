package dev.vireo.worker.boot;

import dev.vireo.linux.Fd;
import dev.vireo.proto.v1.MicroVmSpec;
import dev.vireo.proto.vmm.v1.AnnouncementMode;
import dev.vireo.proto.vmm.v1.BlockDevice;
import dev.vireo.proto.vmm.v1.CreateRequest;
import dev.vireo.proto.vmm.v1.Device;
import dev.vireo.proto.vmm.v1.Kernel;
import dev.vireo.proto.vmm.v1.SerialConsole;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * All that a spec names, checked and open: what a VMM is given. Owns its descriptors.
 *
 * @param commandLine whole but for the announcements of devices in CMDLINE mode
 */
public record BootFiles(
    Fd kvm,
    int vcpus,
    long memoryBytes,
    Fd kernel,
    Optional<Fd> initramfs,
    String commandLine,
    AnnouncementMode announcement,
    List<OpenDisk> disks,
    long consoleMaxBytes,
    String readyMarker)
    implements AutoCloseable {
  private static final long DEFAULT_CONSOLE_BYTES = 1 << 20;

  /**
   * A disk's file.
   *
   * @param template the file is an image's: the guest gets a copy of its own
   */
  public record OpenDisk(String id, Fd file, boolean readOnly, boolean template, long bytes) {}

  /** A VMM's orders, and the descriptors that they name by index. The descriptors stay borrowed. */
  public record Orders(CreateRequest.Builder request, List<Fd> descriptors) {}

  /**
   * Gives each disk that is a template its private copy in {@code directory}, unless it has one
   * from an earlier run. The first side effect of a create.
   */
  public BootFiles withPrivateDisks(Path directory) throws IOException {
    List<OpenDisk> own = new ArrayList<>();
    for (OpenDisk disk : disks) {
      own.add(disk.template() ? privateCopy(disk, directory) : disk);
    }
    return new BootFiles(
        kvm,
        vcpus,
        memoryBytes,
        kernel,
        initramfs,
        commandLine,
        announcement,
        List.copyOf(own),
        consoleMaxBytes,
        readyMarker);
  }

  private static OpenDisk privateCopy(OpenDisk disk, Path directory) throws IOException {
    Path copy = directory.resolve("disk-" + disk.id() + ".raw");
    if (!Files.exists(copy)) {
      Path partial = directory.resolve("disk-" + disk.id() + ".partial");
      SparseCopy.copy(disk.file(), partial);
      Files.move(partial, copy, StandardCopyOption.ATOMIC_MOVE);
    }
    Fd file = Fd.open(copy.toString(), Fd.O_RDWR);
    disk.file().close();
    return new OpenDisk(disk.id(), file, false, false, file.size());
  }

  /** How much of the console a spec wants kept. */
  public static long consoleMaxBytes(MicroVmSpec spec) {
    long wanted = spec.getConsole().getMaxBytes();
    return wanted == 0 ? DEFAULT_CONSOLE_BYTES : wanted;
  }

  /** What to tell the VMM, but for who the microVM is. */
  public Orders orders(Fd console, Fd exitRecord) {
    List<Fd> descriptors = new ArrayList<>();
    CreateRequest.Builder request =
        CreateRequest.newBuilder()
            .setVcpus(vcpus)
            .setMemoryBytes(memoryBytes)
            .setKvmFd(add(descriptors, kvm))
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
    for (OpenDisk disk : disks) {
      request.addDevices(
          Device.newBuilder()
              .setId(disk.id())
              .setBlock(
                  BlockDevice.newBuilder()
                      .setFileFd(add(descriptors, disk.file()))
                      .setReadOnly(disk.readOnly())
                      .setCapacityBytes(disk.bytes())));
    }
    return new Orders(request, descriptors);
  }

  private static int add(List<Fd> descriptors, Fd descriptor) {
    descriptors.add(descriptor);
    return descriptors.size() - 1;
  }

  @Override
  public void close() {
    kvm.close();
    kernel.close();
    initramfs.ifPresent(Fd::close);
    disks.forEach(disk -> disk.file().close());
  }
}

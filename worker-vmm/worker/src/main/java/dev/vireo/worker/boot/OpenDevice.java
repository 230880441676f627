package dev.vireo.worker.boot;

import static java.util.Objects.requireNonNull;

import com.google.protobuf.ByteString;
import dev.vireo.linux.DiskShape;
import dev.vireo.linux.Fd;
import dev.vireo.linux.LinuxException;
import dev.vireo.linux.TapInterface;
import dev.vireo.proto.v1.VirtioConsole;
import dev.vireo.proto.vmm.v1.BalloonDevice;
import dev.vireo.proto.vmm.v1.BlockDevice;
import dev.vireo.proto.vmm.v1.ConsoleDevice;
import dev.vireo.proto.vmm.v1.ConsolePort;
import dev.vireo.proto.vmm.v1.Device;
import dev.vireo.proto.vmm.v1.DiskEngine;
import dev.vireo.proto.vmm.v1.EntropyDevice;
import dev.vireo.proto.vmm.v1.MemoryDevice;
import dev.vireo.proto.vmm.v1.NetDevice;
import dev.vireo.proto.vmm.v1.RateLimit;
import dev.vireo.proto.vmm.v1.VsockDevice;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;
import org.jspecify.annotations.Nullable;

/** A device that a spec asks for, with what it needs open. */
public sealed interface OpenDevice extends AutoCloseable {
  /** Its name in the microVM. */
  String id();

  /**
   * What to tell the VMM.
   *
   * @param microVmUid whose device it is
   * @param descriptors gets those that the message names by their place in it
   */
  Device.Builder order(String microVmUid, List<Fd> descriptors);

  /**
   * Makes what it has of its own in the microVM's directory, unless an earlier run did.
   *
   * @return what to use in place of this, which is not to be used any more
   */
  default OpenDevice withPrivateFiles(Path directory) throws IOException {
    return this;
  }

  @Override
  default void close() {}

  /**
   * A disk's file.
   *
   * @param cached the same without O_DIRECT, if {@code file} has it
   * @param template the file is an image's: the guest gets a copy of its own
   * @param copyBytes that a copy is to have, if not as many as its template
   */
  record Disk(
      String id,
      Fd file,
      Optional<Fd> cached,
      DiskShape shape,
      boolean readOnly,
      boolean template,
      OptionalLong copyBytes,
      int queues,
      RateLimit limit,
      DiskEngine engine)
      implements OpenDevice {
    @Override
    public Device.Builder order(String microVmUid, List<Fd> descriptors) {
      BlockDevice.Builder block =
          BlockDevice.newBuilder()
              .setFileFd(BootFiles.add(descriptors, file))
              .setReadOnly(readOnly)
              .setCapacityBytes(shape.bytes())
              .setRateLimit(limit)
              .setEngine(engine)
              .setQueues(queues)
              .setLogicalBlockBytes(shape.logicalBlockBytes())
              .setPhysicalBlockBytes(shape.physicalBlockBytes())
              .setMemoryAlignment(shape.memoryAlignment())
              .setBlockDevice(shape.blockDevice())
              .setDiscards(shape.discards());
      cached.ifPresent(other -> block.setCachedFd(BootFiles.add(descriptors, other)));
      return Device.newBuilder().setId(id).setBlock(block);
    }

    /** Whether the bytes go past the node's page cache. */
    boolean direct() {
      return cached.isPresent();
    }

    @Override
    public OpenDevice withPrivateFiles(Path directory) throws IOException {
      if (!template) {
        return this;
      }
      Path copy = directory.resolve("disk-" + id + ".raw");
      if (!Files.exists(copy)) {
        Path partial = directory.resolve("disk-" + id + ".partial");
        SparseCopy.copy(cached.orElse(file), partial);
        if (copyBytes.isPresent()) {
          resize(partial, copyBytes.getAsLong());
        }
        Files.move(partial, copy, StandardCopyOption.ATOMIC_MOVE);
      }
      return ofCopy(copy.toString());
    }

    private static void resize(Path file, long bytes) throws IOException {
      try (Fd open = Fd.open(file.toString(), Fd.O_RDWR)) {
        open.truncate(bytes);
      } catch (LinuxException e) {
        throw new IOException(e.getMessage(), e);
      }
    }

    private OpenDevice ofCopy(String path) {
      List<Fd> own = new ArrayList<>();
      try {
        own.add(Fd.open(path, direct() ? Fd.O_RDWR | Fd.O_DIRECT : Fd.O_RDWR));
        if (direct()) {
          own.add(Fd.open(path, Fd.O_RDWR));
        }
        Disk disk =
            new Disk(
                id,
                own.getFirst(),
                direct() ? Optional.of(own.getLast()) : Optional.empty(),
                DiskShape.of(own.getFirst(), direct()),
                false,
                false,
                OptionalLong.empty(),
                queues,
                limit,
                engine);
        close();
        return disk;
      } catch (RuntimeException e) {
        own.forEach(Fd::close);
        throw e;
      }
    }

    @Override
    public void close() {
      file.close();
      cached.ifPresent(Fd::close);
    }
  }

  /**
   * A tap interface.
   *
   * @param mac none: one is made up of the microVM's uid
   * @param mtu 0 if the guest is told none
   */
  record Network(
      String id,
      TapInterface tap,
      Optional<MacAddress> mac,
      int mtu,
      RateLimit receiveLimit,
      RateLimit transmitLimit)
      implements OpenDevice {
    @Override
    public Device.Builder order(String microVmUid, List<Fd> descriptors) {
      MacAddress address = mac.orElseGet(() -> MacAddress.of(microVmUid, id));
      NetDevice.Builder net =
          NetDevice.newBuilder()
              .setMacAddress(ByteString.copyFrom(address.bytes()))
              .setMtu(mtu)
              .setRxRateLimit(receiveLimit)
              .setTxRateLimit(transmitLimit);
      for (Fd queue : tap.queues()) {
        net.addTapFds(BootFiles.add(descriptors, queue));
      }
      return Device.newBuilder().setId(id).setNet(net);
    }

    @Override
    public void close() {
      tap.close();
    }
  }

  /**
   * Streams between processes of the node and of the guest.
   *
   * @param listener null before it has one in the microVM's directory
   */
  record Vsock(int cid, @Nullable Fd listener) implements OpenDevice {
    @Override
    public String id() {
      return "vsock";
    }

    @Override
    public Device.Builder order(String microVmUid, List<Fd> descriptors) {
      return Device.newBuilder()
          .setId(id())
          .setVsock(
              VsockDevice.newBuilder()
                  .setGuestCid(Integer.toUnsignedLong(cid))
                  .setListenerFd(
                      BootFiles.add(descriptors, requireNonNull(listener, "does not listen"))));
    }

    @Override
    public OpenDevice withPrivateFiles(Path directory) throws IOException {
      return new Vsock(cid, VsockSocket.in(directory).listen());
    }

    @Override
    public void close() {
      if (listener != null) {
        listener.close();
      }
    }
  }

  /** Memory that the guest can be asked to give back, for which the VMM needs nothing open. */
  record Balloon(
      long targetBytes,
      Duration statisticsInterval,
      boolean deflateOnOom,
      boolean freePageReporting)
      implements OpenDevice {
    @Override
    public String id() {
      return "balloon";
    }

    @Override
    public Device.Builder order(String microVmUid, List<Fd> descriptors) {
      return Device.newBuilder()
          .setId(id())
          .setBalloon(
              BalloonDevice.newBuilder()
                  .setTargetBytes(targetBytes)
                  .setStatisticsIntervalMs((int) statisticsInterval.toMillis())
                  .setDeflateOnOom(deflateOnOom)
                  .setFreePageReporting(freePageReporting));
    }
  }

  /**
   * Memory that the guest can be given while it runs, for which the VMM needs nothing more open.
   */
  record Memory(long maximumBytes, long blockBytes, long requestedBytes) implements OpenDevice {
    @Override
    public String id() {
      return "memory";
    }

    @Override
    public Device.Builder order(String microVmUid, List<Fd> descriptors) {
      return Device.newBuilder()
          .setId(id())
          .setMemory(
              MemoryDevice.newBuilder()
                  .setMaximumBytes(maximumBytes)
                  .setBlockBytes(blockBytes)
                  .setRequestedBytes(requestedBytes));
    }
  }

  /** Random numbers, for which the VMM needs nothing open. */
  record Entropy(RateLimit limit) implements OpenDevice {
    @Override
    public String id() {
      return "entropy";
    }

    @Override
    public Device.Builder order(String microVmUid, List<Fd> descriptors) {
      return Device.newBuilder()
          .setId(id())
          .setEntropy(EntropyDevice.newBuilder().setRateLimit(limit));
    }
  }

  /**
   * Consoles and pipes.
   *
   * @param spec what is wanted
   * @param listeners one for each port; none before they have one in the microVM's directory
   */
  record Console(VirtioConsole spec, List<Fd> listeners) implements OpenDevice {
    @Override
    public String id() {
      return "console";
    }

    @Override
    public Device.Builder order(String microVmUid, List<Fd> descriptors) {
      ConsoleDevice.Builder console =
          ConsoleDevice.newBuilder()
              .setRxRateLimit(RateLimits.of(spec.getRxRateLimit()))
              .setTxRateLimit(RateLimits.of(spec.getTxRateLimit()));
      for (int i = 0; i < spec.getPortsCount(); i++) {
        ConsolePort.Builder port =
            ConsolePort.newBuilder()
                .setName(spec.getPorts(i).getName())
                .setConsole(spec.getPorts(i).getConsole())
                .setListenerFd(BootFiles.add(descriptors, listeners.get(i)));
        if (spec.getPorts(i).hasSize()) {
          port.setSize(ConsoleSizes.of(spec.getPorts(i).getSize()));
        }
        console.addPorts(port);
      }
      return Device.newBuilder().setId(id()).setConsole(console);
    }

    @Override
    public OpenDevice withPrivateFiles(Path directory) throws IOException {
      return new Console(spec, new ConsoleSockets(directory).listen(spec));
    }

    @Override
    public void close() {
      listeners.forEach(Fd::close);
    }
  }
}

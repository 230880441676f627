package dev.vireo.fuzz;

import dev.vireo.catalog.BackEnd;
import dev.vireo.linux.Errno;
import dev.vireo.linux.Fd;
import dev.vireo.linux.IoUring;
import dev.vireo.linux.Linux;
import dev.vireo.linux.LinuxException;
import dev.vireo.vmm.backend.DiskGeometry;
import dev.vireo.vmm.backend.HostRandom;
import dev.vireo.vmm.backend.RateLimiter;
import dev.vireo.vmm.backend.RawFile;
import dev.vireo.vmm.virtio.VirtioDevice;
import dev.vireo.vmm.virtio.balloon.BalloonDevice;
import dev.vireo.vmm.virtio.block.BlockDevice;
import dev.vireo.vmm.virtio.block.BlockDevice.Engine;
import dev.vireo.vmm.virtio.console.ConsoleDevice;
import dev.vireo.vmm.virtio.input.PowerButton;
import dev.vireo.vmm.virtio.memory.MemoryDevice;
import dev.vireo.vmm.virtio.net.NetDevice;
import dev.vireo.vmm.virtio.rng.EntropyDevice;
import dev.vireo.vmm.virtio.vsock.VsockDevice;
import java.time.Duration;
import java.util.HexFormat;
import java.util.List;
import java.util.Optional;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/**
 * A device to be fuzzed.
 *
 * @param name as it is called on a command line
 * @param maker makes it
 * @param request one that must work whatever was before
 * @param event what its host's side does by itself
 * @param hindrance why this host cannot run it, if so
 */
record Target(
    String name, Maker maker, Request request, Event event, Supplier<Optional<String>> hindrance) {
  private static final long GUEST_CID = 3;

  /** VIRTIO 1.2, 5.2.6: type IN, sector 3; data and status. */
  private static final Request READ_OF_A_SECTOR =
      new Request(0, "00000000" + "00000000" + "0300000000000000", 513, 513);

  /** Every device model. */
  static final List<Target> ALL =
      List.of(
          new Target(
              "block",
              (id, host) -> disk(id, host, null, Engine.THREAD),
              READ_OF_A_SECTOR,
              Event.NONE),
          new Target(
              "block-io-uring",
              Target::diskOfRings,
              READ_OF_A_SECTOR,
              (device, host, value) -> host.release(),
              Target::hindranceToRings),
          new Target(
              "entropy",
              (id, host) ->
                  new EntropyDevice(id, new HostRandom(host.libc()), RateLimiter.UNLIMITED),
              new Request(0, "", 64, 64),
              Event.NONE),
          new Target(
              "balloon",
              (id, host) -> new BalloonDevice(id, 0, Duration.ZERO, true, true),
              // VIRTIO 1.2, 5.5.6: a page that is in memory, into the balloon
              new Request(0, "1f000000", 0, 0),
              (device, host, value) ->
                  ((BalloonDevice) device).setTarget(Integer.toUnsignedLong(value))),
          new Target(
              "power-button",
              (id, host) -> new PowerButton(id),
              // 5.8.6: an event of the driver's, in the status queue
              new Request(1, "1100" + "0100" + "01000000", 0, 0),
              (device, host, value) -> ((PowerButton) device).press()),
          new Target(
              "net",
              (id, host) ->
                  new NetDevice(
                      id,
                      HexFormat.of().parseHex("021122334455"),
                      1500,
                      RateLimiter.UNLIMITED,
                      RateLimiter.UNLIMITED,
                      host.network().taps(),
                      host.network()::nanoTime),
              // 5.1.6.2: a frame after a header that asks for nothing, in the transmit queue
              new Request(1, "00".repeat(12) + "ff".repeat(6) + "021122334455" + "0800", 0, 0),
              (device, host, value) -> host.network().happen(value)),
          new Target(
              "vsock",
              (id, host) ->
                  new VsockDevice(
                      id, GUEST_CID, host.processes().listener(), host.processes()::dial),
              // 5.10.6: an RST about a connection that there is not, which nobody answers; the
              // ports are those of the first process of the host that connects to port 1024
              new Request(
                  1,
                  "0300000000000000" // src_cid
                      + "0200000000000000" // dst_cid
                      + "00040000" // src_port
                      + "00000040" // dst_port
                      + "00000000" // len
                      + "0100" // type
                      + "0300" // op
                      + "00000000" // flags
                      + "00000400" // buf_alloc
                      + "00000000", // fwd_cnt
                  0,
                  0),
              (device, host, value) -> host.processes().happen((VsockDevice) device, value)),
          new Target(
              "memory",
              (id, host) ->
                  new MemoryDevice(id, GuestLayout.PLUGGABLE, GuestLayout.PLUGGABLE.bytes()),
              // 5.15.6: the state of the first block
              new Request(
                  0,
                  "0300"
                      + "000000000000" // type
                      + "0000100001000000" // addr
                      + "0100"
                      + "000000000000", // nb_blocks
                  10,
                  10),
              new Event() {
                @Override
                public void happen(VirtioDevice device, Host host, int value) {
                  ((MemoryDevice) device)
                      .setRequested((value & 0xf) * GuestLayout.PLUGGABLE.blockBytes());
                }

                @Override
                public void undo(VirtioDevice device, Host host, Runnable rest) {
                  ((MemoryDevice) device).setRequested(GuestLayout.PLUGGABLE.bytes());
                }
              }),
          new Target(
              "console",
              (id, host) -> host.clients().device(id),
              // 5.3.6: output of port 0
              new Request(1, "68656c6c6f0a", 0, 0),
              new Event() {
                @Override
                public void happen(VirtioDevice device, Host host, int value) {
                  host.clients().happen((ConsoleDevice) device, value);
                }

                @Override
                public void undo(VirtioDevice device, Host host, Runnable rest) {
                  host.clients().undo((ConsoleDevice) device, rest);
                }
              }));

  /** One that every host can run. */
  Target(String name, Maker maker, Request request, Event event) {
    this(name, maker, request, event, Optional::empty);
  }

  private static BlockDevice disk(String id, Host host, @Nullable Fd cached, Engine engine) {
    return new BlockDevice(
        id,
        new RawFile(host.libc(), host.disk(), cached, DiskGeometry.ofFile(Host.DISK_BYTES)),
        new BlockDevice.Settings(false, 2, RateLimiter.UNLIMITED, engine, line -> {}));
  }

  /**
   * Past the page cache, as disks are that have rings: what is not whole blocks goes through it.
   */
  private static BlockDevice diskOfRings(String id, Host host) {
    BlockDevice device = disk(id, host, host.disk(), Engine.IO_URING);
    if (device.backEnd() != BackEnd.BLK_IO_URING) { // It would be "block" once more.
      device.close();
      throw new IllegalStateException("a disk without rings");
    }
    return device;
  }

  private static Optional<String> hindranceToRings() {
    Sleepers ignored = Sleepers.installed(); // Which have to come before any call.
    try {
      IoUring.create(Linux.libc(), 1).close();
      return Optional.empty();
    } catch (LinuxException e) {
      if (e.errno() == Errno.ENOSYS || e.errno() == Errno.EPERM) {
        return Optional.of("this process may not have an io_uring here: " + e.getMessage());
      }
      throw e;
    }
  }

  @Override
  public String toString() {
    return name; // As tests are called.
  }

  /** Makes a device; its threads must have its id in their names. */
  interface Maker {
    VirtioDevice make(String id, Host host);
  }

  /**
   * A legal request.
   *
   * @param readable what the device gets to read, in hexadecimal digits
   * @param writable bytes it may write
   * @param written bytes it says to have written
   */
  record Request(int queue, String readable, int writable, int written) {
    byte[] readableBytes() {
      return HexFormat.of().parseHex(readable);
    }
  }

  /** What happens on the host's side of a device without its driver's doing. */
  interface Event {
    Event NONE = (device, host, value) -> {};

    /**
     * @param value makes it differ
     */
    void happen(VirtioDevice device, Host host, int value);

    /**
     * Takes away what it leaves in a device, whatever its driver does.
     *
     * @param rest waits until the device has done what there is to do
     */
    default void undo(VirtioDevice device, Host host, Runnable rest) {}
  }

  static Target named(String name) {
    for (Target target : ALL) {
      if (target.name.equals(name)) {
        return target;
      }
    }
    throw new IllegalArgumentException("there is no target '" + name + "'");
  }
}

package dev.vireo.fuzz;

import dev.vireo.vmm.backend.HostRandom;
import dev.vireo.vmm.backend.RateLimiter;
import dev.vireo.vmm.backend.RawFile;
import dev.vireo.vmm.virtio.VirtioDevice;
import dev.vireo.vmm.virtio.block.BlockDevice;
import dev.vireo.vmm.virtio.input.PowerButton;
import dev.vireo.vmm.virtio.rng.EntropyDevice;
import java.util.HexFormat;
import java.util.List;

/**
 * A device to be fuzzed.
 *
 * @param name as it is called on a command line
 * @param maker makes it
 * @param request one that must work whatever was before
 * @param event what its host's side does by itself
 */
record Target(String name, Maker maker, Request request, Event event) {
  /** Every device model. */
  static final List<Target> ALL =
      List.of(
          new Target(
              "block",
              (id, host) ->
                  new BlockDevice(
                      id, new RawFile(host.libc(), host.disk(), Host.DISK_BYTES), false),
              // VIRTIO 1.2, 5.2.6: type IN, sector 3; data and status
              new Request(0, "00000000" + "00000000" + "0300000000000000", 513, 513),
              Event.NONE),
          new Target(
              "entropy",
              (id, host) ->
                  new EntropyDevice(id, new HostRandom(host.libc()), RateLimiter.UNLIMITED),
              new Request(0, "", 64, 64),
              Event.NONE),
          new Target(
              "power-button",
              (id, host) -> new PowerButton(id),
              // 5.8.6: an event of the driver's, in the status queue
              new Request(1, "1100" + "0100" + "01000000", 0, 0),
              (device, host, value) -> ((PowerButton) device).press()));

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

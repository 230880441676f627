package dev.vireo.worker.boot;

import static dev.vireo.proto.errors.ErrorReason.NETWORK_BUSY;
import static dev.vireo.proto.errors.ErrorReason.NETWORK_INVALID;
import static dev.vireo.proto.errors.ErrorReason.NETWORK_NOT_FOUND;
import static dev.vireo.proto.errors.ErrorReason.NETWORK_UNAVAILABLE;
import static dev.vireo.proto.errors.ErrorReason.ROUTING_UNAVAILABLE;

import dev.vireo.linux.Errno;
import dev.vireo.linux.LinuxException;
import dev.vireo.linux.TapInterface;
import dev.vireo.proto.errors.ErrorReason;
import dev.vireo.proto.v1.Network;
import java.util.Optional;

/**
 * Opens the tap interfaces that a spec's networks name, or makes those that it does not name, and
 * those of routed ones, which this node has named.
 */
final class NetworkPlanner {
  /** Of the interfaces that are made here: {@code vireo-0} and so on. */
  private static final String NAME_PREFIX = "vireo-";

  private NetworkPlanner() {}

  /**
   * Opens a network's interface, for one queue at least.
   *
   * @param field of the spec, for example {@code spec.networks[0]}
   */
  static OpenDevice.Network open(Network network, String field) throws RejectedException {
    return new OpenDevice.Network(
        network.getId(),
        openTap(network, field + ".tap"),
        network.getMacAddress().isEmpty()
            ? Optional.empty()
            : Optional.of(MacAddress.parse(network.getMacAddress())),
        network.getMtu(),
        RateLimits.of(network.getRxRateLimit()),
        RateLimits.of(network.getTxRateLimit()));
  }

  private static TapInterface openTap(Network network, String field) throws RejectedException {
    int queues = Math.max(1, network.getQueuePairs());
    if (network.hasRouted()) {
      return makeRouted(network, queues, field);
    }
    try {
      return network.getTap().isEmpty()
          ? TapInterface.create(NAME_PREFIX, queues, network.getMtu())
          : TapInterface.open(network.getTap(), queues);
    } catch (LinuxException e) {
      throw new RejectedException(
          network.getTap().isEmpty() ? NETWORK_UNAVAILABLE : reason(e.errno()),
          field,
          "cannot open %s with %d queues: %s"
              .formatted(
                  network.getTap().isEmpty() ? "a new interface" : network.getTap(),
                  queues,
                  e.getMessage()));
    }
  }

  private static TapInterface makeRouted(Network network, int queues, String field)
      throws RejectedException {
    try {
      return TapInterface.createNamed(network.getTap(), queues, network.getMtu());
    } catch (LinuxException e) {
      throw new RejectedException(
          ROUTING_UNAVAILABLE,
          field,
          "cannot make interface %s: %s".formatted(network.getTap(), e.getMessage()));
    }
  }

  private static ErrorReason reason(int errno) {
    return switch (errno) {
      case Errno.ENODEV -> NETWORK_NOT_FOUND;
      case Errno.EINVAL, Errno.E2BIG -> NETWORK_INVALID;
      case Errno.EBUSY -> NETWORK_BUSY;
      default -> NETWORK_UNAVAILABLE;
    };
  }
}

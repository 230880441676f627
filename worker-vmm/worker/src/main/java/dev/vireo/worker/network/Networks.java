package dev.vireo.worker.network;

import static dev.vireo.proto.errors.ErrorReason.ROUTING_UNAVAILABLE;

import dev.vireo.proto.v1.MicroVmSpec;
import dev.vireo.proto.v1.Network;
import dev.vireo.proto.v1.NetworkStatus;
import dev.vireo.worker.boot.RejectedException;
import dev.vireo.worker.network.dns.Upstream;
import dev.vireo.worker.time.Time;
import java.util.Optional;
import java.util.function.Consumer;

/**
 * The routed networks of a node's microVMs, of which each has one at most. One without is not known
 * here, and all of this does nothing for it. Thread-safe.
 */
public interface Networks extends AutoCloseable {
  /**
   * Gives a microVM what its network has in all its runs, if its spec has one that is routed.
   *
   * @throws RejectedException with nothing taken
   */
  Optional<NetworkStatus> assign(String uid, MicroVmSpec spec) throws RejectedException;

  /**
   * Its interface exists, and nobody has it yet: lets it reach and be reached, as its spec says.
   *
   * @throws RejectedException with no rule left; the interface is to be closed
   */
  void connect(String uid) throws RejectedException;

  /** Its interface is gone, or about to be: whoever had it has ended. */
  void disconnect(String uid);

  /** It is no more: others may have its address and ports. */
  void release(String uid);

  /**
   * Counts what an earlier worker has given.
   *
   * @param runs it has its interface
   */
  void takeBack(String uid, MicroVmSpec spec, NetworkStatus given, boolean runs);

  /** All are counted: what else an earlier worker has left is removed. */
  void restore();

  /**
   * The same, whose guests have a resolver: with {@code upstream} behind it, and with {@code
   * events} told by name what it counts, from any thread. As it is, where no guest can have one.
   */
  default Networks withResolver(Upstream upstream, Time time, Consumer<String> events) {
    return this;
  }

  /** What answers guests, answers no more. Rules stay. */
  @Override
  default void close() {}

  /** The index of the network that is routed, of all networks of a spec; −1: none is. */
  static int indexOfRouted(MicroVmSpec spec) {
    for (int i = 0; i < spec.getNetworksCount(); i++) {
      if (spec.getNetworks(i).hasRouted()) {
        return i;
      }
    }
    return -1;
  }

  /** The spec with what its network was given, and with the argument that tells its guest. */
  static MicroVmSpec complete(MicroVmSpec spec, NetworkStatus given) {
    int index = indexOfRouted(spec);
    Network network = spec.getNetworks(index);
    String argument =
        "vireo.net=%s,%s,%s,%d"
            .formatted(
                given.getMacAddress(), given.getAddress(), given.getGateway(), network.getMtu());
    MicroVmSpec.Builder complete =
        spec.toBuilder()
            .setNetworks(
                index,
                network.toBuilder().setTap(given.getTap()).setMacAddress(given.getMacAddress()));
    complete
        .getBootBuilder()
        .setCommandLine((spec.getBoot().getCommandLine().strip() + " " + argument).strip());
    return complete.build();
  }

  /** Of a node that has none, for this reason. */
  static Networks none(String why) {
    return new Networks() {
      @Override
      public Optional<NetworkStatus> assign(String uid, MicroVmSpec spec) throws RejectedException {
        int index = indexOfRouted(spec);
        if (index >= 0) {
          throw new RejectedException(
              ROUTING_UNAVAILABLE, "spec.networks[%d].routed".formatted(index), why);
        }
        return Optional.empty();
      }

      @Override
      public void connect(String uid) {}

      @Override
      public void disconnect(String uid) {}

      @Override
      public void release(String uid) {}

      @Override
      public void takeBack(String uid, MicroVmSpec spec, NetworkStatus given, boolean runs) {}

      @Override
      public void restore() {}
    };
  }
}

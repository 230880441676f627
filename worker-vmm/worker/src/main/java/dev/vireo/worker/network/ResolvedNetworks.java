package dev.vireo.worker.network;

import dev.vireo.proto.v1.MicroVmSpec;
import dev.vireo.proto.v1.NetworkStatus;
import dev.vireo.worker.boot.RejectedException;
import dev.vireo.worker.network.dns.GuestResolver;
import dev.vireo.worker.network.dns.Upstream;
import dev.vireo.worker.time.Time;
import java.io.IOException;
import java.lang.System.Logger.Level;
import java.net.InetSocketAddress;
import java.util.Optional;
import java.util.function.Consumer;

/**
 * Routed networks whose guests have a resolver at their gateway. It begins with the first of them,
 * when the gateway's address is the node's.
 */
final class ResolvedNetworks implements Networks {
  private static final System.Logger LOG = System.getLogger("network");
  private static final int DNS = 53;

  private final RoutedNetworks networks;
  private final GuestResolver resolver;

  /**
   * @param upstream the node's own resolvers
   * @param events what the resolver counts, by name, from any thread
   */
  ResolvedNetworks(RoutedNetworks networks, Upstream upstream, Time time, Consumer<String> events) {
    this.networks = networks;
    this.resolver =
        new GuestResolver(
            new InetSocketAddress(networks.gateway(), DNS),
            networks,
            networks.pool(),
            upstream,
            time,
            events);
  }

  @Override
  public Optional<NetworkStatus> assign(String uid, MicroVmSpec spec) throws RejectedException {
    return networks.assign(uid, spec);
  }

  @Override
  public void connect(String uid) throws RejectedException {
    resolver.forget(uid);
    networks.connect(uid);
    listenIfAnybodyIsConnected();
  }

  @Override
  public void disconnect(String uid) {
    networks.disconnect(uid);
    resolver.forget(uid);
  }

  @Override
  public void release(String uid) {
    networks.release(uid);
    resolver.forget(uid);
  }

  @Override
  public void takeBack(String uid, MicroVmSpec spec, NetworkStatus given, boolean runs) {
    networks.takeBack(uid, spec, given, runs);
  }

  @Override
  public void restore() {
    networks.restore();
    listenIfAnybodyIsConnected();
  }

  /** A guest without a resolver is one all the same; the next one is another occasion. */
  private void listenIfAnybodyIsConnected() {
    if (!networks.isAnybodyConnected()) {
      return;
    }
    try {
      resolver.listen();
    } catch (IOException e) {
      LOG.log(
          Level.WARNING,
          "guests have no resolver: {0} port {1}: {2}",
          networks.gateway().getHostAddress(),
          DNS,
          e.getMessage());
    }
  }

  @Override
  public void close() {
    resolver.close();
  }
}

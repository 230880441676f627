package dev.vireo.worker.network;

import static dev.vireo.proto.errors.ErrorReason.ADDRESSES_EXHAUSTED;
import static dev.vireo.proto.errors.ErrorReason.ROUTING_UNAVAILABLE;

import dev.vireo.proto.v1.MicroVmSpec;
import dev.vireo.proto.v1.Network;
import dev.vireo.proto.v1.NetworkStatus;
import dev.vireo.proto.v1.RoutedNetwork;
import dev.vireo.worker.boot.MacAddress;
import dev.vireo.worker.boot.RejectedException;
import dev.vireo.worker.network.dns.Upstream;
import dev.vireo.worker.state.StateDirectory;
import dev.vireo.worker.time.Time;
import java.io.IOException;
import java.lang.System.Logger.Level;
import java.net.Inet4Address;
import java.nio.file.Path;
import java.time.Duration;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.Set;
import java.util.function.Consumer;
import java.util.function.IntPredicate;
import java.util.function.Predicate;

/**
 * The routed networks of a worker: addresses of a pool, interfaces of their own, rules of nft's.
 */
public final class RoutedNetworks implements Networks, NameGrants {
  private static final System.Logger LOG = System.getLogger("network");
  private static final String ROUTED = ".routed";

  private final AddressPool addresses;
  private final NodePorts ports;
  private final NftRules rules;
  private final Nft nft;
  private final NodeInterfaces interfaces;

  private final Map<String, Guest> guests = new HashMap<>();
  private final Set<String> connected = new HashSet<>();

  RoutedNetworks(
      AddressPool addresses, NodePorts ports, String table, Nft nft, NodeInterfaces interfaces) {
    this.addresses = addresses;
    this.ports = ports;
    this.rules = new NftRules(table, addresses.network(), addresses.gateway());
    this.nft = nft;
    this.interfaces = interfaces;
  }

  /**
   * Of the worker with this state.
   *
   * @param pool of its guests' addresses
   * @param nft the program's path
   * @param behindPasta it is pasta that connects this network namespace to the machine's
   */
  public static RoutedNetworks of(
      StateDirectory state, Ipv4Network pool, Path nft, boolean behindPasta) throws IOException {
    LinuxInterfaces interfaces = new LinuxInterfaces();
    return new RoutedNetworks(
        new AddressPool(pool, state.root().resolve("next-address")),
        new NodePorts(
            behindPasta ? new PastaPorts(interfaces.lowestUnprivilegedPort()) : PortSockets.BOUND),
        table(state),
        new NftProgram(nft.toString()),
        interfaces);
  }

  /** Workers of one host have tables of their own. */
  private static String table(StateDirectory state) {
    return "vireo_" + state.nodeUid().substring(0, 8);
  }

  /** Removes all rules of the worker with this state, of which no VMM runs. */
  public static void removeRules(StateDirectory state, Path nft) throws IOException {
    Nft program = new NftProgram(nft.toString());
    String table = table(state);
    if (!program.listing(NftRules.INET, table).isEmpty()) {
      program.apply(new NftRules(table, Ipv4Network.host(0), 0).removeAll());
    }
  }

  /** Why no microVM can have a routed network here, if that is so; a sentence, with what to do. */
  public synchronized Optional<String> problem() {
    try {
      nft.check(rules.shared());
      // Those that a predecessor has left are not known to be ours yet.
      return poolProblem(NftRules::isTapName);
    } catch (IOException e) {
      return Optional.of(String.valueOf(e.getMessage()));
    }
  }

  private boolean isOurs(String tap) {
    return guests.values().stream().anyMatch(guest -> guest.given().getTap().equals(tap));
  }

  private Optional<String> poolProblem(Predicate<String> ours) throws IOException {
    return interfaces
        .routeInto(addresses.network(), ours)
        .map(route ->
            "the pool %s is in use: there is a route to %s; give the worker another --network-pool"
                .formatted(addresses.network(), route));
  }

  @Override
  public synchronized Optional<NetworkStatus> assign(String uid, MicroVmSpec spec)
      throws RejectedException {
    int index = Networks.indexOfRouted(spec);
    if (index < 0) {
      return Optional.empty();
    }
    Network network = spec.getNetworks(index);
    String field = "spec.networks[%d]".formatted(index) + ROUTED;
    Guest before = guests.get(uid);
    if (before != null && before.routed().equals(network.getRouted())) {
      return Optional.of(before.given());
    }
    Guest guest = new Guest(uid, network.getRouted(), give(uid, network, field));
    try {
      checkForwarding(guest, field);
    } catch (RejectedException e) {
      if (before == null) {
        release(uid);
      }
      throw e;
    }
    guests.put(uid, guest);
    return Optional.of(guest.given());
  }

  private NetworkStatus give(String uid, Network network, String field) throws RejectedException {
    try {
      Optional<String> problem = poolProblem(this::isOurs);
      if (problem.isPresent()) {
        throw unavailable(field, problem.get());
      }
      OptionalInt address = addresses.assign(uid);
      if (address.isEmpty()) {
        throw new RejectedException(
            ADDRESSES_EXHAUSTED,
            field,
            "all addresses of %s are in use".formatted(addresses.network()));
      }
      MacAddress mac =
          network.getMacAddress().isEmpty()
              ? MacAddress.of(uid, network.getId())
              : MacAddress.parse(network.getMacAddress());
      return NetworkStatus.newBuilder()
          .setId(network.getId())
          .setAddress(Ipv4Network.text(address.getAsInt()))
          .setGateway(Ipv4Network.text(addresses.gateway()))
          .setMacAddress(mac.toString())
          .setTap(NftRules.tapName(address.getAsInt()))
          .addAllPorts(ports.hold(uid, network.getRouted().getPortsList(), field + ".ports"))
          .build();
    } catch (IOException e) {
      throw unavailable(field, String.valueOf(e.getMessage()));
    } catch (RejectedException e) {
      if (!guests.containsKey(uid)) {
        addresses.release(uid);
      }
      throw e;
    }
  }

  private void checkForwarding(Guest guest, String field) throws RejectedException {
    try {
      Optional<String> setting =
          guest.isForwarded() ? interfaces.settingAgainstForwarding() : Optional.empty();
      if (setting.isPresent()) {
        throw unavailable(
            field,
            "this node forwards nothing: %s is 0; its operator may say: sysctl -w %s=1"
                .formatted(setting.get(), setting.get()));
      }
    } catch (IOException e) {
      throw unavailable(field, String.valueOf(e.getMessage()));
    }
  }

  private static RejectedException unavailable(String field, String why) {
    return new RejectedException(ROUTING_UNAVAILABLE, field, why);
  }

  /** The rules are there before the interface is up. */
  @Override
  public synchronized void connect(String uid) throws RejectedException {
    Guest guest = guests.get(uid);
    if (guest == null) {
      return;
    }
    if (connected.isEmpty()) {
      forgetConnectionsOfOthers(List.of()); // What an earlier worker did not live to do.
    }
    try {
      nft.apply(rules.shared() + rules.connect(guest));
      connected.add(uid);
      interfaces.configure(
          guest.given().getTap(),
          addresses.gateway(),
          guest.address(),
          MacAddress.parse(guest.given().getMacAddress()).bytes());
    } catch (IOException e) {
      disconnect(uid);
      throw unavailable("spec.networks", String.valueOf(e.getMessage()));
    }
  }

  @Override
  public synchronized void disconnect(String uid) {
    Guest guest = guests.get(uid);
    if (guest == null || !connected.remove(uid)) {
      return;
    }
    try {
      nft.apply(connected.isEmpty() ? rules.removeAll() : rules.disconnect(guest));
    } catch (IOException e) {
      // They are for an interface that is not there. The next worker tries again.
      LOG.log(Level.WARNING, "{0}: cannot remove its rules: {1}", uid, e.getMessage());
    }
    int address = guest.address();
    forgetConnections(other -> other == address);
  }

  /** Whoever has such an address next would have its connections, too: rules let those pass. */
  private void forgetConnections(IntPredicate guests) {
    try {
      interfaces.forgetConnections(guests);
    } catch (IOException e) {
      LOG.log(Level.WARNING, "connections of guests that ended stay tracked: {0}", e.getMessage());
    }
  }

  private void forgetConnectionsOfOthers(List<Guest> running) {
    Set<Integer> known = new HashSet<>(Set.of(addresses.gateway()));
    running.forEach(guest -> known.add(guest.address()));
    forgetConnections(address -> addresses.network().contains(address) && !known.contains(address));
  }

  @Override
  public synchronized void release(String uid) {
    disconnect(uid);
    guests.remove(uid);
    ports.release(uid);
    addresses.release(uid);
  }

  @Override
  public synchronized void takeBack(
      String uid, MicroVmSpec spec, NetworkStatus given, boolean runs) {
    int index = Networks.indexOfRouted(spec);
    if (index < 0 || given.getAddress().isEmpty()) {
      return;
    }
    RoutedNetwork routed = spec.getNetworks(index).getRouted();
    Guest guest = new Guest(uid, routed, given);
    guests.put(uid, guest);
    addresses.count(uid, guest.address());
    ports.holdAgain(uid, given.getPortsList());
    if (runs) {
      connected.add(uid);
    }
  }

  @Override
  public synchronized void restore() {
    try {
      String inet = nft.listing(NftRules.INET, rules.table());
      String netdev = nft.listing(NftRules.NETDEV, rules.table());
      List<Guest> running =
          guests.values().stream()
              .filter(guest -> connected.contains(guest.uid()))
              .filter(guest -> interfaces.exists(guest.given().getTap()))
              .toList();
      if (!running.isEmpty() || !inet.isEmpty() || !netdev.isEmpty()) {
        nft.apply(running.isEmpty() ? rules.removeAll() : rules.restore(running, inet, netdev));
        forgetConnectionsOfOthers(running);
      }
    } catch (IOException e) {
      // Without guests that is most often a worker that may not use nft, and does not have to.
      LOG.log(
          guests.isEmpty() ? Level.DEBUG : Level.WARNING,
          "rules stay as they were found: {0}",
          e.getMessage());
    }
  }

  @Override
  public synchronized Optional<ResolvingGuest> resolving(Inet4Address source) {
    int address = Ipv4Network.addressOf(source);
    return guests.values().stream()
        .filter(guest -> connected.contains(guest.uid()))
        .filter(guest -> guest.address() == address && guest.mayResolve())
        .map(Guest::resolving)
        .findFirst();
  }

  @Override
  public synchronized void grant(String uid, int rule, Inet4Address address, Duration forHowLong)
      throws IOException {
    Guest guest = guests.get(uid);
    if (guest != null && connected.contains(uid) && guest.rules().get(rule).hasDnsName()) {
      nft.apply(rules.grant(guest, rule, Ipv4Network.addressOf(address), forHowLong));
    }
  }

  /** The address at which a resolver answers all guests. */
  public Inet4Address gateway() {
    return (Inet4Address) Ipv4Network.inet(addresses.gateway());
  }

  @Override
  public Networks withResolver(Upstream upstream, Time time, Consumer<String> events) {
    return new ResolvedNetworks(this, upstream, time, events);
  }

  /** Of all guests' addresses. */
  Ipv4Network pool() {
    return addresses.network();
  }

  /** Whether there is a guest with its interface, and with it the gateway's address. */
  synchronized boolean isAnybodyConnected() {
    return !connected.isEmpty();
  }
}

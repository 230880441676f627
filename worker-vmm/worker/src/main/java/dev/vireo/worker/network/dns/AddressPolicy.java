package dev.vireo.worker.network.dns;

import dev.vireo.worker.network.Ipv4Network;
import java.net.Inet4Address;
import java.util.List;
import java.util.function.Predicate;
import java.util.stream.Stream;

/**
 * What an address in an answer is to a guest. Whoever owns a name says where it leads: not to what
 * is reached from within alone, unless a rule for addresses lets the guest go there anyway (DNS
 * rebinding).
 */
final class AddressPolicy {
  /** What becomes of it. */
  enum Verdict {
    /** The guest is let there, and told. */
    GRANT,
    /** Other rules decide whether it gets there. */
    TELL,
    /** The guest is not told. */
    STRIP
  }

  /** What no name leads to (RFC 6890; multicast, and what is reserved). */
  private static final List<Ipv4Network> NOWHERE =
      networks("0.0.0.0/8", "127.0.0.0/8", "192.0.0.0/24", "198.18.0.0/15", "224.0.0.0/3");

  private static final List<Ipv4Network> PRIVATE =
      networks("10.0.0.0/8", "100.64.0.0/10", "172.16.0.0/12", "192.168.0.0/16");

  private static final Ipv4Network LINK_LOCAL = Ipv4Network.parse("169.254.0.0/16");

  private final Ipv4Network pool;
  private final Predicate<Inet4Address> isOfNode;

  /**
   * @param pool of the node's guests
   * @param isOfNode whether an address is the node's own, now
   */
  AddressPolicy(Ipv4Network pool, Predicate<Inet4Address> isOfNode) {
    this.pool = pool;
    this.isOfNode = isOfNode;
  }

  private static List<Ipv4Network> networks(String... texts) {
    return Stream.of(texts).map(Ipv4Network::parse).toList();
  }

  /**
   * Judges an address.
   *
   * @param allowed networks that the guest's rules name
   */
  Verdict judge(Inet4Address inet, List<Ipv4Network> allowed) {
    int address = Ipv4Network.addressOf(inet);
    if (isWithin(NOWHERE, address)) {
      return Verdict.STRIP;
    }
    // As the packet filter reads the rules: a broad network does not include these.
    if (LINK_LOCAL.contains(address)) {
      return tellIf(allowed, address, network -> network.liesWithin(LINK_LOCAL));
    }
    if (pool.contains(address)) {
      return tellIf(allowed, address, network -> network.liesWithin(pool));
    }
    if (isOfNode.test(inet)) {
      return tellIf(allowed, address, Ipv4Network::isHost);
    }
    return isWithin(PRIVATE, address) ? tellIf(allowed, address, network -> true) : Verdict.GRANT;
  }

  private static boolean isWithin(List<Ipv4Network> networks, int address) {
    return networks.stream().anyMatch(network -> network.contains(address));
  }

  private static Verdict tellIf(
      List<Ipv4Network> allowed, int address, Predicate<Ipv4Network> counts) {
    return allowed.stream().filter(counts).anyMatch(network -> network.contains(address))
        ? Verdict.TELL
        : Verdict.STRIP;
  }
}

package dev.vireo.worker.network;

import java.io.IOException;
import java.net.Inet4Address;
import java.time.Duration;
import java.util.List;
import java.util.Optional;

/**
 * What a resolver needs to know of guests, and how it lets one reach what a name of its policy
 * leads to. A grant is to be made before the guest hears of the address.
 */
public interface NameGrants {
  /** Who asks, by its source address, which no guest can choose; empty: nobody who may. */
  Optional<ResolvingGuest> resolving(Inet4Address source);

  /**
   * Lets a guest reach an address at the ports of a rule, for a while; longer, if it could already.
   * What is connected then stays so. A grant of what a broad network would not include has no
   * effect: addresses of the node, of other microVMs, link-local ones.
   *
   * @param rule of the guest's policy, as {@link NameRule#index} has it
   * @param forHowLong in whole seconds, at least one
   * @throws IOException if the packet filter does not take it; the guest cannot go there
   */
  void grant(String uid, int rule, Inet4Address address, Duration forHowLong) throws IOException;

  /**
   * A guest that may ask the resolver.
   *
   * @param anyName its policy lets it reach all the Internet, by any name
   * @param names that lead to what it may reach
   * @param networks that it may reach by their addresses, at some port
   */
  record ResolvingGuest(
      String uid, boolean anyName, List<NameRule> names, List<Ipv4Network> networks) {}

  /**
   * A rule for a name.
   *
   * @param index of the rule among all of the guest's
   * @param name {@code example.org} or {@code *.example.org}, in lower case
   */
  record NameRule(int index, String name) {}
}

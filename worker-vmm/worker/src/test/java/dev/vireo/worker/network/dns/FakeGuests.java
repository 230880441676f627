package dev.vireo.worker.network.dns;

import dev.vireo.worker.network.Ipv4Network;
import dev.vireo.worker.network.NameGrants;
import java.io.IOException;
import java.net.Inet4Address;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CopyOnWriteArrayList;

/** One guest, which asks from 127.0.0.1, and the grants that are made it. */
final class FakeGuests implements NameGrants {
  static final String UID = "uid-1";

  final List<String> grants = new CopyOnWriteArrayList<>();
  private final List<NameRule> names = new ArrayList<>();
  private final List<Ipv4Network> networks = new ArrayList<>();
  private boolean anyName;
  private boolean isThere = true;
  private boolean isFull;

  FakeGuests mayReach(int rule, String name) {
    names.add(new NameRule(rule, name));
    return this;
  }

  FakeGuests mayReach(String network) {
    networks.add(Ipv4Network.parse(network));
    return this;
  }

  FakeGuests mayAskForAnyName() {
    anyName = true;
    return this;
  }

  void areGone() {
    isThere = false;
  }

  void areFull() {
    isFull = true;
  }

  @Override
  public Optional<ResolvingGuest> resolving(Inet4Address source) {
    return isThere
        ? Optional.of(new ResolvingGuest(UID, anyName, List.copyOf(names), List.copyOf(networks)))
        : Optional.empty();
  }

  @Override
  public void grant(String uid, int rule, Inet4Address address, Duration forHowLong)
      throws IOException {
    if (isFull) {
      throw new IOException("no room");
    }
    grants.add(
        "%s rule %d %s %ds".formatted(uid, rule, address.getHostAddress(), forHowLong.toSeconds()));
  }
}

package dev.vireo.worker.network;

import java.io.IOException;
import java.nio.file.Path;
import java.util.Optional;

/** What a host has for routed networks, for those who have none yet. */
public final class RoutingProbe {
  /** Any network will do: nothing is made. */
  private static final Ipv4Network POOL = Ipv4Network.parse("10.213.0.0/16");

  private RoutingProbe() {}

  /** Why this process may not filter packets; empty: it may. */
  public static Optional<String> whyNotFiltered(Path nft) {
    return why(new NftProgram(nft.toString()));
  }

  /** Why it may not in a network namespace of its user's own, which is made and is gone. */
  public static Optional<String> whyNotFilteredInNamespace(Path nft) {
    return why(new NftProgram("unshare", "--user", "--map-root-user", "--net", nft.toString()));
  }

  private static Optional<String> why(Nft nft) {
    try {
      nft.check(new NftRules("vireo_probe", POOL, POOL.address() + 1).shared());
      return Optional.empty();
    } catch (IOException e) {
      return Optional.of(String.valueOf(e.getMessage()));
    }
  }

  /** The setting by which packets for others are not passed on; empty: they are. */
  public static Optional<String> whyNotForwarded() throws IOException {
    return new LinuxInterfaces().settingAgainstForwarding();
  }
}

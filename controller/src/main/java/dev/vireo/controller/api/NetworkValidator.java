package dev.vireo.controller.api;

import dev.vireo.catalog.BackEnd;
import dev.vireo.proto.v1.MicroVmSpec;
import dev.vireo.proto.v1.Network;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.regex.Pattern;

/** What can be said of a spec's networks by looking at them alone. */
final class NetworkValidator {
  static final int MAX_NETWORKS = 8;
  static final int MAX_QUEUE_PAIRS = 8;

  /** The least that IPv4 works with, and the most that a tap interface takes. */
  static final int MIN_MTU = 68;

  static final int MAX_MTU = 65_521;

  /** What Linux takes as a name (dev_valid_name), apart from what nobody would want. */
  private static final Pattern INTERFACE = Pattern.compile("[A-Za-z0-9][-A-Za-z0-9._@]{0,14}");

  private static final Pattern MAC = Pattern.compile("(\\p{XDigit}{2}:){5}\\p{XDigit}{2}");
  private static final String NO_STATION = "00:00:00:00:00:00";

  private NetworkValidator() {}

  /**
   * @param ids of other devices; those of the networks are added
   */
  static void validate(MicroVmSpec spec, Set<String> ids, Violations violations) {
    List<Network> networks = spec.getNetworksList();
    violations.invalidIf(
        networks.size() > MAX_NETWORKS,
        "spec.networks",
        "has %d entries; at most %d.",
        networks.size(),
        MAX_NETWORKS);
    Set<String> taps = new HashSet<>();
    for (int i = 0; i < networks.size(); i++) {
      Network network = networks.get(i);
      String field = "spec.networks[%d]".formatted(i);
      SpecValidator.validateDeviceId(field + ".id", network.getId(), ids, violations);
      SpecValidator.validateBackEnd(
          field + ".back_end", network.getBackEnd(), List.of(BackEnd.NET_TAP), violations);
      validateTap(field + ".tap", network.getTap(), taps, violations);
      validateMac(field + ".mac_address", network.getMacAddress(), violations);
      validateNumbers(field, network, violations);
      RateLimitValidator.validate(field + ".rx_rate_limit", network.getRxRateLimit(), violations);
      RateLimitValidator.validate(field + ".tx_rate_limit", network.getTxRateLimit(), violations);
    }
    RoutedNetworkValidator.validate(spec, violations);
  }

  private static void validateTap(
      String field, String tap, Set<String> taps, Violations violations) {
    if (tap.isEmpty()) {
      return;
    }
    violations.invalidIf(
        !INTERFACE.matcher(tap).matches(),
        field,
        "is no name of an interface: 1 to 15 letters, digits, and any of - . _ @ after the first.");
    violations.invalidIf(!taps.add(tap), field, "is that of another network.");
  }

  private static void validateMac(String field, String mac, Violations violations) {
    if (mac.isEmpty()) {
      return;
    }
    if (!MAC.matcher(mac).matches()) {
      violations.invalid(field, "must be six bytes in hexadecimal with colons between.");
    } else {
      boolean group = (Character.digit(mac.charAt(1), 16) & 1) != 0;
      violations.invalidIf(
          group || mac.equals(NO_STATION), field, "must be the address of one station.");
    }
  }

  private static void validateNumbers(String field, Network network, Violations violations) {
    long pairs = Integer.toUnsignedLong(network.getQueuePairs());
    violations.invalidIf(
        pairs > MAX_QUEUE_PAIRS, field + ".queue_pairs", "is %d; 1 to %d.", pairs, MAX_QUEUE_PAIRS);
    long mtu = Integer.toUnsignedLong(network.getMtu());
    violations.invalidIf(
        mtu != 0 && (mtu < MIN_MTU || mtu > MAX_MTU),
        field + ".mtu",
        "is %d; %d to %d.",
        mtu,
        MIN_MTU,
        MAX_MTU);
  }
}

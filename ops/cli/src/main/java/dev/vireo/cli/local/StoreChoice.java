package dev.vireo.cli.local;

import java.util.Locale;

/**
 * Where the control plane's state is kept.
 *
 * @param endpoints of an etcd that is not this machine's own, as VIREO_ETCD_ENDPOINTS has them;
 *     else empty
 */
record StoreChoice(StoreKind kind, String endpoints) {
  /** As {@link #words} had it. */
  static StoreChoice parse(String words) {
    String[] parts = words.split(" ", 2);
    return new StoreChoice(
        StoreKind.valueOf(parts[0].toUpperCase(Locale.ROOT)), parts.length == 1 ? "" : parts[1]);
  }

  /** For a file: the kind, and after a space the endpoints. */
  String words() {
    return endpoints.isEmpty() ? kind.toString() : kind + " " + endpoints;
  }

  /** Whether it is an etcd that is started and stopped here. */
  boolean isOwnEtcd() {
    return kind == StoreKind.ETCD && endpoints.isEmpty();
  }

  /** For people. */
  @Override
  public String toString() {
    return switch (kind) {
      case SQLITE -> "a file";
      case ETCD -> isOwnEtcd() ? "an etcd of this machine's own" : "the etcd at " + endpoints;
    };
  }
}

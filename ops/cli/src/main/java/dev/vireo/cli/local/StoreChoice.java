package dev.vireo.cli.local;

import java.util.List;
import java.util.Locale;

/**
 * Where the control plane's state is kept.
 *
 * @param endpoints of an etcd that is not this machine's own, as VIREO_ETCD_ENDPOINTS has them;
 *     else empty
 * @param prefix of an etcd's keys, as VIREO_ETCD_PREFIX has it; empty: the usual one
 */
record StoreChoice(StoreKind kind, String endpoints, String prefix) {
  /** The controller's own choice. */
  private static final String USUAL_PREFIX = "/vireo/";

  StoreChoice {
    prefix = prefix.equals(USUAL_PREFIX) ? "" : prefix;
  }

  /** As {@link #words} had it, or an older version, which did not write a prefix down. */
  static StoreChoice parse(String words) {
    List<String> lines = words.lines().toList();
    String[] parts = lines.getFirst().split(" ", 2);
    return new StoreChoice(
        StoreKind.valueOf(parts[0].toUpperCase(Locale.ROOT)),
        parts.length == 1 ? "" : parts[1],
        lines.size() == 1 ? "" : lines.get(1));
  }

  /** For a file: the kind, after a space the endpoints, and in a line of its own the prefix. */
  String words() {
    String place = endpoints.isEmpty() ? kind.toString() : kind + " " + endpoints;
    return prefix.isEmpty() ? place : place + "\n" + prefix;
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
      case ETCD ->
          (isOwnEtcd() ? "an etcd of this machine's own" : "the etcd at " + endpoints)
              + (prefix.isEmpty() ? "" : " under " + prefix);
    };
  }
}

package dev.vireo.controller.store;

import java.net.URI;
import java.net.URISyntaxException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Optional;

/**
 * Where an etcd is, and what of it is ours.
 *
 * @param endpoints of its members, each {@code http://HOST:PORT} or {@code https://HOST:PORT}; they
 *     are tried in turn
 * @param prefix of every key that the store reads or writes; ends with a slash
 * @param cluster whose data this is: what another cluster wrote under the prefix is refused
 * @param tls for {@code https}
 * @param credentials if the etcd has authentication enabled
 * @param timeout how long a call may take in all, and how long etcd is waited for at the start
 */
public record EtcdOptions(
    List<URI> endpoints,
    String prefix,
    String cluster,
    Tls tls,
    Optional<Credentials> credentials,
    Duration timeout) {
  private static final int DEFAULT_PORT = 2379;

  /**
   * @param authority PEM file with the certificates that the members' are trusted by; empty: those
   *     of the JDK
   * @param identity of this client, if the members ask for one
   */
  public record Tls(Optional<Path> authority, Optional<Identity> identity) {
    public static final Tls DEFAULT = new Tls(Optional.empty(), Optional.empty());
  }

  /** PEM files. */
  public record Identity(Path certificate, Path key) {}

  /** A user of etcd's own. */
  public record Credentials(String user, String password) {}

  public EtcdOptions {
    endpoints = List.copyOf(endpoints);
    if (endpoints.isEmpty()) {
      throw new IllegalArgumentException("etcd needs an endpoint, as http://127.0.0.1:2379");
    }
    if (!prefix.endsWith("/")) {
      throw new IllegalArgumentException("the prefix '%s' does not end with '/'".formatted(prefix));
    }
    if (cluster.isBlank() || cluster.contains(" ")) {
      throw new IllegalArgumentException("'%s' is no name of a cluster".formatted(cluster));
    }
  }

  /**
   * Reads an endpoint as etcd writes them.
   *
   * @throws IllegalArgumentException if it is none
   */
  public static URI endpoint(String text) {
    try {
      URI uri = new URI(text);
      boolean known = "http".equals(uri.getScheme()) || "https".equals(uri.getScheme());
      if (known && uri.getHost() != null && uri.getPath().isEmpty()) {
        int port = uri.getPort() == -1 ? DEFAULT_PORT : uri.getPort();
        return new URI(uri.getScheme(), null, uri.getHost(), port, null, null, null);
      }
    } catch (URISyntaxException e) {
      // Told below.
    }
    throw new IllegalArgumentException(
        "'%s' is no endpoint of etcd: write http://HOST:PORT or https://HOST:PORT".formatted(text));
  }

  /** For people. */
  String place() {
    return String.join(",", endpoints.stream().map(URI::toString).toList());
  }
}

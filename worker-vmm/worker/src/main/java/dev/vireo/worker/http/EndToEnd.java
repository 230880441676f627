package dev.vireo.worker.http;

import io.netty.handler.codec.http.HttpHeaderNames;
import io.netty.handler.codec.http.HttpHeaders;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Set;

/**
 * Tells the headers of a message from those of the connection that it came by (RFC 9110, 7.6.1).
 */
final class EndToEnd {
  /** Expect too: there is no waiting for a "100 Continue" here. */
  private static final Set<String> OF_THE_CONNECTION =
      Set.of(
          "connection",
          "expect",
          "keep-alive",
          "proxy-authenticate",
          "proxy-authorization",
          "proxy-connection",
          "te",
          "trailer",
          "transfer-encoding",
          "upgrade");

  private EndToEnd() {}

  /** Leaves what is for whoever is at the other end. */
  static void keep(HttpHeaders headers) {
    Set<String> others = new HashSet<>(OF_THE_CONNECTION);
    List<String> named = headers.getAll(HttpHeaderNames.CONNECTION);
    named.stream()
        .flatMap(value -> Arrays.stream(value.split(",")))
        .forEach(name -> others.add(name.strip().toLowerCase(Locale.ROOT)));
    others.stream().filter(headers::contains).forEach(headers::remove);
  }
}

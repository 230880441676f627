package dev.vireo.controller.server;

import io.quarkus.grpc.api.ServerBuilderCustomizer;
import io.quarkus.grpc.runtime.config.GrpcServerConfiguration;
import io.vertx.grpc.VertxServerBuilder;
import jakarta.inject.Singleton;
import java.net.InetAddress;
import java.net.UnknownHostException;
import org.eclipse.microprofile.config.Config;

/**
 * Refuses to listen on another than a loopback address without TLS: who can reach the API can run
 * programs on every node.
 */
@Singleton
class ListenAddressGuard implements ServerBuilderCustomizer<VertxServerBuilder> {
  private final Config config;

  ListenAddressGuard(Config config) {
    this.config = config;
  }

  /**
   * Before the port is bound. Quarkus logs what is thrown here and goes on; so see {@link #check}.
   */
  @Override
  public void customize(GrpcServerConfiguration grpc, VertxServerBuilder builder) {
    check();
  }

  /** Throws if an address may not be listened on. */
  void check() {
    check(
        "vireo.grpc.host",
        value("quarkus.grpc.server.host"),
        value("quarkus.grpc.server.plain-text").equals("false"),
        "quarkus.grpc.server.ssl.certificate and .key with quarkus.grpc.server.plain-text=false");
    check(
        "vireo.http.host",
        value("quarkus.http.host"),
        value("quarkus.http.insecure-requests").equals("disabled"),
        "quarkus.http.ssl.certificate.* with quarkus.http.insecure-requests=disabled");
  }

  private String value(String property) {
    return config.getOptionalValue(property, String.class).orElse("");
  }

  private static void check(String setting, String host, boolean tlsOnly, String tlsSettings) {
    if (!tlsOnly && !isLoopback(host)) {
      throw new StartupException(
          "%s=%s is not a loopback address, and TLS is not set up: set %s, or listen on 127.0.0.1"
              .formatted(setting, host, tlsSettings));
    }
  }

  private static boolean isLoopback(String host) {
    try {
      return InetAddress.getByName(host).isLoopbackAddress();
    } catch (UnknownHostException e) {
      throw new StartupException("cannot listen on %s: no such host".formatted(host), e);
    }
  }
}

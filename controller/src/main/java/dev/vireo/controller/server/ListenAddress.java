package dev.vireo.controller.server;

import org.eclipse.microprofile.config.Config;

/** Where the gRPC server listens, as Quarkus was told, be it by its own settings or by ours. */
record ListenAddress(String host, int port) {
  static ListenAddress ofGrpc(Config config) {
    return new ListenAddress(
        config.getValue("quarkus.grpc.server.host", String.class),
        config.getValue("quarkus.grpc.server.port", Integer.class));
  }

  /** HOST:PORT. */
  @Override
  public String toString() {
    return (host.contains(":") ? "[%s]:%d" : "%s:%d").formatted(host, port);
  }
}

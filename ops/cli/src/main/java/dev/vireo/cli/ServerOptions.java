package dev.vireo.cli;

import io.grpc.ManagedChannel;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Option;

/** Which controller, which project. */
public final class ServerOptions {
  @Option(
      names = "--server",
      paramLabel = "ADDRESS",
      description = {
        "The controller: unix:/path or host:port; of several controllers each, with commas between:"
            + " when one is gone the next is asked. Default: $VIREO_SERVER, else the sockets of this"
            + " machine's controllers, else 127.0.0.1:7420."
      })
  private @Nullable String server;

  @Option(
      names = "--project",
      paramLabel = "PROJECT",
      description = "Default: $VIREO_PROJECT, else 'default'.")
  private @Nullable String project;

  public Api connect(Environment environment) {
    ServerAddress address = address(environment);
    ManagedChannel channel = environment.connector().apply(address);
    return new Api(
        address, project(environment), channel, TraceContext.of(channel, environment.variables()));
  }

  private ServerAddress address(Environment environment) {
    String text = server == null ? environment.variables().get("VIREO_SERVER") : server;
    return text == null || text.isEmpty()
        ? ServerAddress.local(environment.controllerSockets())
        : ServerAddress.parse(text);
  }

  private String project(Environment environment) {
    return project == null
        ? environment.variables().getOrDefault("VIREO_PROJECT", "default")
        : project;
  }
}

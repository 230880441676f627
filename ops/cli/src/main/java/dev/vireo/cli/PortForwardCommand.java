package dev.vireo.cli;

import dev.vireo.proto.v1.GetMicroVmRequest;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.CountDownLatch;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.TypeConversionException;

/** {@code vireo port-forward}. */
@Command(
    name = "port-forward",
    description = {
      "Makes TCP ports of a guest reachable at 127.0.0.1, until Ctrl-C.",
      "Connections go through Vireo to the guest's agent: the guest needs no network, and a server"
          + " there may listen on its loopback address alone."
    })
final class PortForwardCommand implements Callable<Integer> {
  private final Environment environment;

  @Mixin private final ServerOptions server = new ServerOptions();

  @Parameters(index = "0", paramLabel = "NAME", description = "Of the microVM.")
  private String name = "";

  @Parameters(
      index = "1..*",
      arity = "1..*",
      paramLabel = "[LOCAL:]REMOTE",
      converter = ToPorts.class,
      description = "Ports, here and in the guest. LOCAL 0: any, which is printed.")
  private final List<Ports> ports = new ArrayList<>();

  /**
   * @param local 0: any
   */
  record Ports(int local, int remote) {}

  /** {@code 8080:80}, {@code 80}. */
  static final class ToPorts implements ITypeConverter<Ports> {
    private static final Pattern FORM = Pattern.compile("(?:([0-9]{1,5}):)?([0-9]{1,5})");
    private static final int MAX_PORT = 65_535;

    @Override
    public Ports convert(String text) {
      Matcher form = FORM.matcher(text);
      if (form.matches()) {
        @Nullable String local = form.group(1);
        int remote = Integer.parseInt(form.group(2));
        int here = local == null ? remote : Integer.parseInt(local);
        if (remote >= 1 && remote <= MAX_PORT && here <= MAX_PORT) {
          return new Ports(here, remote);
        }
      }
      throw new TypeConversionException(
          "'%s' is not [LOCAL:]REMOTE; REMOTE is 1 to 65535, LOCAL may be 0".formatted(text));
    }
  }

  PortForwardCommand(Environment environment) {
    this.environment = environment;
  }

  @Override
  public Integer call() throws InterruptedException {
    try (Api api = server.connect(environment);
        Cleanup cleanup = new Cleanup()) {
      String microVm = api.microVmName(name);
      var _ = api.microVms().getMicroVm(GetMicroVmRequest.newBuilder().setName(microVm).build());
      PortForwards forwards = new PortForwards(api, microVm, environment.err());
      for (Ports each : ports) {
        ServerSocket socket = listen(each.local());
        cleanup.add(socket::close);
        environment
            .out()
            .println(
                "127.0.0.1:%d -> %s:%d"
                    .formatted(socket.getLocalPort(), Api.id(microVm), each.remote()));
        Thread.ofVirtual()
            .name("listen-" + each.remote())
            .start(() -> forwards.serve(socket, each.remote()));
      }
      environment.out().flush();
      new CountDownLatch(1).await(); // Until the process is ended.
      return ExitCode.OK;
    }
  }

  private static ServerSocket listen(int port) {
    try {
      ServerSocket socket = new ServerSocket();
      try {
        socket.bind(
            new InetSocketAddress(InetAddress.getByAddress(new byte[] {127, 0, 0, 1}), port));
        return socket;
      } catch (IOException e) {
        socket.close();
        throw e;
      }
    } catch (IOException e) {
      throw new CommandException(
          ExitCode.FAILED,
          "cannot listen on 127.0.0.1:%d: %s".formatted(port, e.getMessage()),
          "Name another port: LOCAL:REMOTE; 0 is any that is free.");
    }
  }
}

package dev.vireo.worker.boot;

import dev.vireo.linux.Fd;
import dev.vireo.proto.v1.ConsolePort;
import dev.vireo.proto.v1.ConsolePortStatus;
import dev.vireo.proto.v1.VirtioConsole;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** The sockets of a microVM's console ports: {@code console-<port>} in its directory. */
public record ConsoleSockets(Path microVmDirectory) {
  private static final String PREFIX = "console-";

  /** Of clients that wait until the one before them has closed. */
  private static final int BACKLOG = 16;

  /** Refuses paths with which the programs of others could do nothing. */
  public void checkLength(VirtioConsole console) throws RejectedException {
    for (int i = 0; i < console.getPortsCount(); i++) {
      socket(console.getPorts(i).getName())
          .checkLength("spec.virtio_console.ports[" + i + "].name", 0);
    }
  }

  /** Which they are, for who wants to connect. */
  public List<ConsolePortStatus> status(VirtioConsole console) {
    List<ConsolePortStatus> ports = new ArrayList<>(console.getPortsCount());
    for (ConsolePort port : console.getPortsList()) {
      ports.add(
          ConsolePortStatus.newBuilder()
              .setName(port.getName())
              .setSocket(socket(port.getName()).path().toString())
              .build());
    }
    return ports;
  }

  /**
   * Listens on all of them, in order.
   *
   * @return non-blocking
   */
  List<Fd> listen(VirtioConsole console) throws IOException {
    List<Fd> listeners = new ArrayList<>(console.getPortsCount());
    try {
      for (ConsolePort port : console.getPortsList()) {
        listeners.add(socket(port.getName()).listen(BACKLOG));
      }
      return List.copyOf(listeners);
    } catch (IOException | RuntimeException e) {
      listeners.forEach(Fd::close);
      throw e;
    }
  }

  private SocketFile socket(String port) {
    return new SocketFile(microVmDirectory.resolve(PREFIX + port));
  }
}

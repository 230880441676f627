package dev.vireo.worker.boot;

import dev.vireo.linux.Fd;
import dev.vireo.proto.v1.ConsolePortStatus;
import dev.vireo.proto.v1.VirtioConsole;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * The sockets of a microVM's console ports: {@code console-0} and so on in its directory, in the
 * order of the spec. Not by the ports' names: a socket's path is short.
 */
public record ConsoleSockets(Path microVmDirectory) {
  private static final String PREFIX = "console-";

  /** Of clients that wait until the one before them has closed. */
  private static final int BACKLOG = 16;

  /** Refuses paths with which the programs of others could do nothing. */
  public void checkLength(VirtioConsole console) throws RejectedException {
    for (int i = 0; i < console.getPortsCount(); i++) {
      socket(i).checkLength("spec.virtio_console.ports[" + i + "]", 0);
    }
  }

  /** Which they are, for who wants to connect. */
  public List<ConsolePortStatus> status(VirtioConsole console) {
    List<ConsolePortStatus> ports = new ArrayList<>(console.getPortsCount());
    for (int i = 0; i < console.getPortsCount(); i++) {
      ports.add(
          ConsolePortStatus.newBuilder()
              .setName(console.getPorts(i).getName())
              .setSocket(socket(i).path().toString())
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
      for (int i = 0; i < console.getPortsCount(); i++) {
        listeners.add(socket(i).listen(BACKLOG));
      }
      return List.copyOf(listeners);
    } catch (IOException | RuntimeException e) {
      listeners.forEach(Fd::close);
      throw e;
    }
  }

  private SocketFile socket(int index) {
    return new SocketFile(microVmDirectory.resolve(PREFIX + index));
  }
}

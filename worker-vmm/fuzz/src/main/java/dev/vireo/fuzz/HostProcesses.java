package dev.vireo.fuzz;

import dev.vireo.linux.Fd;
import dev.vireo.vmm.virtio.vsock.VsockDevice;
import java.nio.charset.StandardCharsets;
import java.util.ArrayDeque;

/**
 * Processes of the host that talk with a guest by vsock, and the worker that connects it to them:
 * they connect, say what makes sense or not, send, read seldom, shut down and vanish; the worker
 * answers late, wrongly or not at all.
 */
final class HostProcesses implements AutoCloseable {
  private static final int BACKLOG = 16;
  private static final String NO_COMMAND = "CONNECT \t 4294967296 is no port";

  private final HostSockets sockets = new HostSockets(BACKLOG);
  // The device's thread asks, the fuzzer's answers.
  private final ArrayDeque<Integer> dials = new ArrayDeque<>();
  private boolean workerIsThere = true;

  /** On which they connect; a device closes it. */
  Fd listener() {
    return sockets.listener();
  }

  /** The guest connects. */
  synchronized boolean dial(int key, int port) {
    if (workerIsThere) {
      dials.addLast(key);
    }
    return workerIsThere;
  }

  /**
   * @param value low four bits: what; the next three: to whom; the others: how much
   */
  void happen(VsockDevice device, int value) {
    Fd peer = sockets.peer(value >>> 4 & 7);
    int more = value >>> 8;
    switch (value & 0xf) {
      case 0 -> connect("CONNECT " + (more & 0xffff) + "\n");
      case 1 ->
          connect(
              NO_COMMAND.substring(0, (more & 0xff) % NO_COMMAND.length())
                  + ((more & 0x100) == 0 ? "\n" : ""));
      case 2, 3 -> sockets.send(peer, 1 + (more & 0xffff));
      case 4, 5 -> sockets.readAll(peer);
      case 6 -> sockets.vanish(peer);
      case 7 -> sockets.shutDown(peer, HostSockets.SENDING);
      case 8 -> sockets.shutDown(peer, HostSockets.RECEIVING);
      case 9, 10 -> answer(device, true);
      case 11 -> answer(device, false);
      case 12 -> toggleWorker();
      case 13 -> loseWorker(device);
      case 14 -> device.dialed(more, (more & 1) == 0 ? null : sockets.pair());
      default -> {
        for (int i = 0; i < 8; i++) {
          connect("CONNECT " + (more + i & 0xffff) + "\n");
        }
      }
    }
  }

  private void connect(String command) {
    sockets.send(sockets.connect(), command.getBytes(StandardCharsets.US_ASCII));
  }

  private void answer(VsockDevice device, boolean connected) {
    Integer key;
    synchronized (this) {
      key = dials.pollFirst();
    }
    if (key != null) {
      device.dialed(key, connected ? sockets.pair() : null);
    }
  }

  private synchronized void toggleWorker() {
    workerIsThere ^= true;
  }

  private void loseWorker(VsockDevice device) {
    synchronized (this) {
      dials.clear();
    }
    device.workerLost();
  }

  /** Nobody is connected, nobody waits. */
  void restore() {
    synchronized (this) {
      dials.clear();
      workerIsThere = true;
    }
    sockets.restore();
  }

  @Override
  public void close() {
    sockets.close();
  }
}

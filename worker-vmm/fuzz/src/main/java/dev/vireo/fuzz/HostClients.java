package dev.vireo.fuzz;

import dev.vireo.linux.Fd;
import dev.vireo.vmm.backend.RateLimiter;
import dev.vireo.vmm.virtio.console.ConsoleDevice;
import dev.vireo.vmm.virtio.console.ConsoleSize;
import dev.vireo.vmm.virtio.console.PortSetup;
import java.util.List;
import java.util.concurrent.atomic.AtomicLong;

/**
 * The clients of a console device's ports: a console's and a pipe's. They come, more than one at a
 * time, send, read seldom, shut down and vanish; the console's size changes, and time passes.
 */
final class HostClients implements AutoCloseable {
  private static final int BACKLOG = 16;
  private static final ConsoleSize SIZE = new ConsoleSize(80, 25);

  /** More than a client's patience, and a guest's. */
  private static final long A_WHILE_NANOS = 2_000_000_000;

  private final HostSockets console = new HostSockets(BACKLOG);
  private final HostSockets pipe = new HostSockets(BACKLOG);
  private final AtomicLong nanoTime = new AtomicLong();

  ConsoleDevice device(String id) {
    return new ConsoleDevice(
        id,
        List.of(
            new PortSetup("hvc0", true, SIZE, console.listener()),
            new PortSetup("org.example.pipe", false, ConsoleSize.UNKNOWN, pipe.listener())),
        RateLimiter.UNLIMITED,
        RateLimiter.UNLIMITED,
        nanoTime::get);
  }

  /**
   * @param value low four bits: what; the next: at which port; the next two: to whom; from bit 8
   *     on: how much
   */
  void happen(ConsoleDevice device, int value) {
    HostSockets port = (value & 0x10) == 0 ? console : pipe;
    Fd peer = port.peer(value >>> 5 & 3);
    int more = value >>> 8;
    switch (value & 0xf) {
      case 0, 1 -> port.connect();
      case 2, 3, 4 -> port.send(peer, 1 + (more & 0xffff));
      case 5, 6 -> port.readAll(peer);
      case 7, 8 -> port.vanish(peer);
      case 9 -> port.shutDown(peer, HostSockets.SENDING);
      case 10 -> port.shutDown(peer, HostSockets.RECEIVING);
      case 11, 12 ->
          device.resize(more >>> 16 & 1, new ConsoleSize(more & 0xff, more >>> 8 & 0xff));
      case 13 -> passTime(device);
      default -> { // A client sends, and is gone before anybody has looked.
        Fd passing = port.connect();
        port.send(passing, 1 + (more & 0xffff));
        port.vanish(passing);
      }
    }
  }

  private void passTime(ConsoleDevice device) {
    nanoTime.addAndGet(A_WHILE_NANOS);
    device.resize(0, SIZE); // Wakes the device, which sleeps by another clock.
  }

  /**
   * A device keeps its clients and its output for those to come, whatever its driver does.
   *
   * @param rest waits until the device has done what there is to do
   */
  void undo(ConsoleDevice device, Runnable rest) {
    console.restore();
    pipe.restore();
    rest.run();
    // A client that has left bytes behind is cut off for the next, after a while.
    Fd reader = console.connect();
    Fd ignored = pipe.connect();
    device.resize(1, ConsoleSize.UNKNOWN);
    rest.run();
    passTime(device);
    rest.run();
    console.readAll(reader);
    console.restore();
    pipe.restore();
    rest.run();
  }

  @Override
  public void close() {
    console.close();
    pipe.close();
  }
}

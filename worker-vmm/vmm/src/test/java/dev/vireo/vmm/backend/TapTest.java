package dev.vireo.vmm.backend;

import static dev.vireo.vmm.backend.Tap.HEADER_BYTES;
import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.vireo.linux.Errno;
import dev.vireo.linux.LinuxException;
import dev.vireo.linux.PollSet;
import dev.vireo.linux.TapInterface;
import dev.vireo.linux.testing.NetworkNamespace;
import dev.vireo.linux.testing.Patience;
import dev.vireo.vmm.memory.GuestMemory;
import dev.vireo.vmm.memory.GuestMemory.Region;
import dev.vireo.vmm.memory.IoVector;
import java.lang.foreign.Arena;
import java.net.DatagramPacket;
import java.net.DatagramSocket;
import java.net.InetAddress;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/** A tap interface as the real kernel has it. */
@Tag("kvm")
class TapTest {
  private static final int ARP_BYTES = 42;

  private final NetworkNamespace namespace = new NetworkNamespace();
  private final GuestMemory memory =
      new GuestMemory(List.of(new Region(0, Arena.ofAuto().allocate(0x2_0000, 4096))));
  private final IoVector vector = new IoVector(memory, 8);
  private final List<Tap> taps = new ArrayList<>();

  @AfterEach
  void close() {
    taps.forEach(Tap::close);
    namespace.close();
  }

  private Tap open(int queues) {
    TapInterface made = namespace.call(() -> TapInterface.create("vireo-", queues, 0));
    made.queues().forEach(fd -> taps.add(new Tap(fd)));
    return taps.getFirst();
  }

  private void up() {
    namespace.shell(
        "sysctl -qw net.ipv6.conf.vireo-0.disable_ipv6=1; ip addr add 192.0.2.1/24 dev vireo-0;"
            + " ip link set vireo-0 up");
  }

  /** The kernel asks who has 192.0.2.2. */
  private void makeKernelSend() {
    namespace.shell("ip neigh flush dev vireo-0");
    namespace.run(() -> {
      try (DatagramSocket socket = new DatagramSocket()) {
        InetAddress guest = InetAddress.getByAddress(new byte[] {(byte) 192, 0, 2, 2});
        socket.send(new DatagramPacket(new byte[1], 1, guest, 7));
      }
    });
  }

  private int write(byte[] headerAndFrame) {
    memory.write(0, headerAndFrame);
    vector.clear();
    vector.add(0, headerAndFrame.length);
    return taps.getFirst().write(vector);
  }

  private static byte[] frame(int length) {
    byte[] frame = new byte[HEADER_BYTES + length];
    Arrays.fill(frame, HEADER_BYTES, HEADER_BYTES + 6, (byte) 0xff);
    frame[HEADER_BYTES + 12] = (byte) 0x88;
    frame[HEADER_BYTES + 13] = (byte) 0xb5; // Local experimental EtherType.
    return frame;
  }

  @Test
  void framesComeAfterAHeaderOfTwelveBytes() {
    Tap tap = open(1);
    up();
    makeKernelSend();
    vector.add(0x1000, 7);
    vector.add(0x2000, 5);
    vector.add(0x3000, 100);
    assertEquals(HEADER_BYTES + ARP_BYTES, tap.read(vector));
    byte[] destination = new byte[6];
    memory.read(0x3000, destination);
    assertArrayEquals(new byte[] {-1, -1, -1, -1, -1, -1}, destination);
  }

  @Test
  void readsNothingWhereThereIsNothing() {
    Tap tap = open(1);
    up();
    vector.add(0, 2000);
    assertEquals(-Errno.EAGAIN, tap.read(vector));
    makeKernelSend();
    tap.discardFrames();
    assertEquals(-Errno.EAGAIN, tap.read(vector));
  }

  @Test
  void theKernelTakesFramesAndRefusesHeadersThatMakeNoSense() {
    open(1);
    up();
    assertEquals(HEADER_BYTES + 60, write(frame(60)));
    assertEquals(
        -Errno.EINVAL,
        write(Arrays.copyOf(frame(14), HEADER_BYTES + 13)),
        "shorter than a header of Ethernet");
    byte[] checksum = frame(60);
    checksum[0] = 1; // NEEDS_CSUM
    checksum[6] = (byte) 0xff; // from 65,535 on
    checksum[7] = (byte) 0xff;
    assertEquals(-Errno.EINVAL, write(checksum));
    byte[] segmentation = frame(60);
    segmentation[1] = 0x7f; // of no known protocol
    segmentation[4] = 100;
    assertEquals(-Errno.EINVAL, write(segmentation));
    byte[] headerLength = frame(60);
    headerLength[2] = (byte) 0xff;
    headerLength[3] = (byte) 0xff;
    assertEquals(-Errno.EINVAL, write(headerLength));
  }

  @Test
  void isNamedAsTheHostNamesIt() {
    Tap tap = open(1);
    assertEquals("vireo-0", tap.name());
    namespace.shell("ip link set vireo-0 name other");
    assertEquals("other", tap.name());
  }

  @Test
  void isUpWhenTheInterfaceIsAndCanBeWaitedFor() {
    Tap tap = open(1);
    assertFalse(tap.isUp());
    assertEquals(-Errno.EIO, write(frame(60)));
    PollSet poll = new PollSet(tap.fd());
    poll.watch(0, PollSet.WRITABLE);
    poll.await(0);
    assertEquals(0, poll.readiness(0));
    Thread waiting = Thread.ofPlatform().start(() -> poll.await(-1));
    await().atMost(Patience.ofSeconds(10)).until(() -> waiting.getState() == Thread.State.RUNNABLE);
    up();
    await().atMost(Patience.ofSeconds(10)).until(() -> !waiting.isAlive());
    assertEquals(PollSet.WRITABLE, poll.readiness(0));
    assertTrue(tap.isUp());
    namespace.shell("ip link set vireo-0 down");
    assertFalse(tap.isUp());
    assertEquals(-Errno.EIO, write(frame(60)));
  }

  @Test
  void isGoneWhenSomebodyDeletesIt() {
    Tap tap = open(1);
    up();
    PollSet poll = new PollSet(tap.fd());
    poll.watch(0, PollSet.READABLE);
    Thread waiting = Thread.ofPlatform().start(() -> poll.await(-1));
    await().atMost(Patience.ofSeconds(10)).until(() -> waiting.getState() == Thread.State.RUNNABLE);
    namespace.shell("ip link del vireo-0");
    await().atMost(Patience.ofSeconds(10)).until(() -> !waiting.isAlive());
    assertEquals(PollSet.ERROR, poll.readiness(0) & PollSet.ERROR);
    vector.add(0, 2000);
    assertEquals(-Errno.EBADFD, tap.read(vector));
    assertEquals(-Errno.EBADFD, write(frame(60)));
    assertFalse(tap.isUp());
    assertFalse(tap.setOffloads(0));
    assertFalse(tap.attach());
    assertFalse(tap.detach());
    assertEquals("", tap.name());
  }

  @Test
  void takesTheOffloadsThatItKnows() {
    Tap tap = open(1);
    assertTrue(tap.setOffloads(0));
    assertTrue(tap.setOffloads(Tap.OFFLOAD_CHECKSUM));
    assertTrue(tap.setOffloads(Tap.OFFLOAD_CHECKSUM | Tap.OFFLOAD_UFO));
    assertTrue(tap.setOffloads(Tap.OFFLOAD_CHECKSUM | Tap.OFFLOAD_TSO6));
    assertTrue(tap.setOffloads(Tap.OFFLOAD_CHECKSUM | Tap.OFFLOAD_TSO4 | Tap.OFFLOAD_TSO_ECN));
    assertThrows(LinuxException.class, () -> tap.setOffloads(0x8000_0000));
  }

  @Test
  void queuesThatAreDetachedGetNothing() {
    Tap first = open(2);
    Tap second = taps.get(1);
    up();
    assertTrue(second.detach());
    vector.add(0, 2000);
    for (int i = 0; i < 10; i++) {
      makeKernelSend(); // From another port each time, that is, another flow.
      assertTrue(first.read(vector) > 0);
      assertEquals(-Errno.EAGAIN, second.read(vector));
    }
    assertTrue(second.attach());
    assertEquals(-Errno.EAGAIN, second.read(vector));
  }
}

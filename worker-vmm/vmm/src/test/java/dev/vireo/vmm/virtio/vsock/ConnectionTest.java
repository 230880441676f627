package dev.vireo.vmm.virtio.vsock;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.vireo.vmm.virtio.vsock.Connection.State;
import org.junit.jupiter.api.Test;

/** Credit, in both directions (VIRTIO 1.2, section 5.10.6.3). */
class ConnectionTest {
  private static final int CAPACITY = SendBuffer.CAPACITY;

  private final Connection connection = new Connection(0, 0);
  private final PacketHeader header = new PacketHeader();

  ConnectionTest() {
    connection.begin(State.ESTABLISHED);
    connection.readable = true;
  }

  private void guestHas(int bufferSize, int forwarded) {
    header.bufferSize = bufferSize;
    header.forwarded = forwarded;
    connection.heard(header);
  }

  private int toldForwarded() {
    connection.tellRoom(header);
    return header.forwarded;
  }

  @Test
  void whatIsInFlightIsNotFree() {
    guestHas(100, 0);
    assertEquals(100, connection.mayRead());
    connection.sent(60);
    assertEquals(40, connection.mayRead());
    guestHas(100, 50);
    assertEquals(90, connection.mayRead());
  }

  @Test
  void sizesAreUnsigned() {
    guestHas(-1, 0);
    assertEquals(0xffff_ffffL, connection.mayRead());
  }

  @Test
  void aGuestThatTakesItsRoomBackOrCountsWronglyGetsNothing() {
    guestHas(100, 0);
    connection.sent(80);
    guestHas(50, 0);
    assertEquals(0, connection.mayRead());
    guestHas(100, 81); // More than it was sent.
    assertEquals(0, connection.mayRead());
  }

  @Test
  void theCountersRunOverTheirEnd() {
    guestHas(1000, 0);
    for (long total = 0; total < (1L << 32) + 5000; total += 1000) {
      assertEquals(1000, connection.mayRead());
      connection.sent(1000);
      assertEquals(0, connection.mayRead());
      guestHas(1000, (int) (total + 1000));
    }
    for (long total = 0; total < (1L << 32) + CAPACITY; total += CAPACITY) {
      assertEquals(CAPACITY, connection.room());
      connection.received(CAPACITY);
      assertEquals(0, connection.room());
      connection.forwarded(CAPACITY);
      assertTrue(connection.owesRoom());
      assertEquals((int) (total + CAPACITY), toldForwarded());
      assertFalse(connection.owesRoom());
    }
  }

  @Test
  void theGuestHearsOfRoomOnceItKnowsOfHalfOfItAtMost() {
    connection.received(CAPACITY / 2 - 1);
    connection.forwarded(CAPACITY / 2 - 1);
    assertFalse(connection.owesRoom());
    connection.received(1);
    assertTrue(connection.owesRoom());
    assertEquals(CAPACITY / 2 - 1, toldForwarded());
    connection.received(CAPACITY / 2);
    assertFalse(connection.owesRoom(), "there is none that it does not know of");
    connection.forwarded(1);
    assertTrue(connection.owesRoom());
  }

  @Test
  void aFullGuestIsAskedForRoomOnce() {
    assertTrue(connection.asksForCredit());
    assertFalse(connection.asksForCredit());
    guestHas(0, 0);
    assertFalse(connection.asksForCredit(), "it has answered, and there is none");
    guestHas(10, 0);
    assertFalse(connection.asksForCredit(), "there is room");
    connection.sent(10);
    assertTrue(connection.asksForCredit());
  }

  @Test
  void aShutdownIsToldOnceAndNotTakenBack() {
    assertEquals(0, connection.shutdownToTell());
    connection.hostSendsNoMore = true;
    assertEquals(2, connection.shutdownToTell());
    assertEquals(2, connection.tellShutdown());
    assertEquals(0, connection.shutdownToTell());
    connection.hostReceivesNoMore = true;
    assertEquals(3, connection.tellShutdown());
  }
}

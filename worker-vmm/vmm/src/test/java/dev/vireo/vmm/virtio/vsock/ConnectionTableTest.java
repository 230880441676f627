package dev.vireo.vmm.virtio.vsock;

import static java.util.Objects.requireNonNull;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertNotSame;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.vireo.vmm.virtio.vsock.Connection.State;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.Test;

class ConnectionTableTest {
  private final ConnectionTable table = new ConnectionTable(0);

  private Connection open(int hostPort, int guestPort) {
    Connection connection = requireNonNull(table.allocate());
    connection.begin(State.ESTABLISHED);
    connection.hostPort = hostPort;
    connection.guestPort = guestPort;
    table.bind(connection);
    return connection;
  }

  private void close(Connection connection) {
    table.unbind(connection);
    table.release(connection);
  }

  @Test
  void holdsThousandsAndNoMore() {
    List<Connection> all = new ArrayList<>();
    for (int i = 0; i < ConnectionTable.MOST; i++) {
      all.add(open(1024 + i % 7, i));
    }
    assertTrue(table.isFull());
    assertNull(table.allocate());
    for (int i = 0; i < all.size(); i++) {
      assertSame(all.get(i), table.byPorts(1024 + i % 7, i));
      assertSame(all.get(i), table.byKey(all.get(i).key()));
    }
    assertNull(table.byPorts(1024, 1));
    close(all.get(17));
    assertSame(all.get(17), table.allocate());
  }

  @Test
  void aKeyMeansNothingOnceItsConnectionHasEnded() {
    Connection first = open(1, 2);
    int key = first.key();
    close(first);
    assertNull(table.byKey(key));
    Connection second = open(1, 2);
    assertSame(first, second, "the slot is used again");
    assertNotEquals(key, second.key());
    assertNull(table.byKey(key));
    for (int i = 0; i < 1 << 20; i++) {
      close(second);
      assertSame(second, table.allocate());
      assertTrue(second.key() >= 0, "negative keys are not of connections");
    }
  }

  @Test
  void findsWhatAMapFinds() {
    Random random = new Random(42);
    Map<List<Integer>, Connection> model = new HashMap<>();
    for (int i = 0; i < 100_000; i++) {
      int host = random.nextInt(40) == 0 ? random.nextInt() : random.nextInt(30);
      int guest = random.nextInt(60);
      Connection known = model.get(List.of(host, guest));
      assertSame(known, table.byPorts(host, guest));
      if (known != null) {
        model.remove(List.of(host, guest));
        close(known);
      } else if (!table.isFull()) {
        model.put(List.of(host, guest), open(host, guest));
      }
      assertEquals(model.size(), table.count());
    }
    model.forEach(
        (ports, connection) -> assertSame(connection, table.byPorts(ports.get(0), ports.get(1))));
  }

  @Test
  void whatHasNoPortsIsNotFoundByThem() {
    Connection other = open(0, 0);
    Connection nameless = requireNonNull(table.allocate());
    assertNotSame(nameless, table.byPorts(0, 0));
    table.unbind(nameless);
    assertSame(other, table.byPorts(0, 0));
  }
}

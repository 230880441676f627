package dev.vireo.worker.network.dns;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.DatagramPacket;
import java.net.DatagramSocket;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.CountDownLatch;
import org.xbill.DNS.Flags;
import org.xbill.DNS.Message;
import org.xbill.DNS.Name;
import org.xbill.DNS.Rcode;
import org.xbill.DNS.Record;
import org.xbill.DNS.Section;
import org.xbill.DNS.Type;

/** A resolver on this host's loopback interface, by UDP, that knows what a test says. */
final class FakeUpstream implements AutoCloseable {
  /** The names that were asked for, with their types. */
  final List<String> asked = new CopyOnWriteArrayList<>();

  private final DatagramSocket socket = new DatagramSocket(0, InetAddress.getLoopbackAddress());
  private final Map<String, List<Record>> answers = new ConcurrentHashMap<>();
  private final Map<String, Integer> codes = new ConcurrentHashMap<>();
  private volatile CountDownLatch silence = new CountDownLatch(0);

  FakeUpstream() throws IOException {
    Thread.ofVirtual().start(this::run);
  }

  InetSocketAddress address() {
    return (InetSocketAddress) socket.getLocalSocketAddress();
  }

  /** Records as in a zone file: {@code www 60 A 203.0.113.5}, all for one question. */
  FakeUpstream knows(String name, String... records) {
    answers.put(key(name, Type.A), Arrays.stream(records).map(FakeUpstream::record).toList());
    return this;
  }

  FakeUpstream knows(String name, int type, String record) {
    answers.put(key(name, type), List.of(record(record)));
    return this;
  }

  FakeUpstream fails(String name, int code) {
    codes.put(key(name, Type.A), code);
    return this;
  }

  /** Says nothing until the latch is down. */
  void isSilent(CountDownLatch until) {
    silence = until;
  }

  private static String key(String name, int type) {
    return name + "/" + Type.string(type);
  }

  /** {@code OWNER TTL TYPE DATA}. */
  private static Record record(String text) {
    String[] parts = text.split(" ", 4);
    try {
      return Record.fromString(
          Name.fromString(parts[0] + "."),
          Type.value(parts[2]),
          1,
          Long.parseLong(parts[1]),
          parts[3],
          Name.root);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private void run() {
    byte[] bytes = new byte[4096];
    while (!socket.isClosed()) {
      try {
        DatagramPacket packet = new DatagramPacket(bytes, bytes.length);
        socket.receive(packet);
        Message query = new Message(Arrays.copyOf(bytes, packet.getLength()));
        String key =
            key(
                query.getQuestion().getName().toString(true).toLowerCase(Locale.ROOT),
                query.getQuestion().getType());
        asked.add(key);
        silence.await();
        byte[] answer = answer(query, key).toWire();
        socket.send(new DatagramPacket(answer, answer.length, packet.getSocketAddress()));
      } catch (IOException e) {
        return;
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
        return;
      }
    }
  }

  private Message answer(Message query, String key) {
    Message answer = new Message(query.getHeader().getID());
    answer.getHeader().setFlag(Flags.QR);
    answer.addRecord(query.getQuestion(), Section.QUESTION);
    List<Record> known = answers.get(key);
    answer
        .getHeader()
        .setRcode(codes.getOrDefault(key, known == null ? Rcode.NXDOMAIN : Rcode.NOERROR));
    if (known != null) {
      known.forEach(record -> answer.addRecord(record, Section.ANSWER));
    }
    return answer;
  }

  @Override
  public void close() {
    socket.close();
  }
}

package dev.vireo.vmm.virtio.vsock;

import static dev.vireo.vmm.virtio.vsock.Connection.OWES_CREDIT_REQUEST;
import static dev.vireo.vmm.virtio.vsock.Connection.OWES_CREDIT_UPDATE;
import static dev.vireo.vmm.virtio.vsock.Connection.OWES_REQUEST;
import static dev.vireo.vmm.virtio.vsock.Connection.OWES_RESET;
import static dev.vireo.vmm.virtio.vsock.Connection.OWES_RESPONSE;
import static dev.vireo.vmm.virtio.vsock.PacketHeader.HOST_CID;
import static dev.vireo.vmm.virtio.vsock.PacketHeader.SHUTDOWN_BOTH;
import static dev.vireo.vmm.virtio.vsock.PacketHeader.SHUTDOWN_RECEIVE;
import static dev.vireo.vmm.virtio.vsock.PacketHeader.SHUTDOWN_SEND;
import static dev.vireo.vmm.virtio.vsock.PacketHeader.TYPE_STREAM;
import static java.util.Objects.requireNonNull;

import dev.vireo.linux.Errno;
import dev.vireo.linux.Fd;
import dev.vireo.linux.LinuxException;
import dev.vireo.linux.Poller;
import dev.vireo.linux.StreamSocket;
import dev.vireo.vmm.memory.IoVector;
import dev.vireo.vmm.virtio.Activation;
import dev.vireo.vmm.virtio.EnumCounters;
import dev.vireo.vmm.virtio.queue.DescriptorChain;
import dev.vireo.vmm.virtio.queue.LiveQueue;
import dev.vireo.vmm.virtio.queue.QueueConnection;
import dev.vireo.vmm.virtio.queue.QueueSignals;
import dev.vireo.vmm.virtio.queue.Virtqueue;
import dev.vireo.vmm.virtio.vsock.Connection.State;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;
import java.util.ArrayDeque;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * One activation of a vsock device: its connections, and the packets that come and go for them
 * (VIRTIO 1.2, section 5.10.6). For one thread at a time, its device sees to that. Nothing in it
 * waits, and no packet makes it allocate.
 */
final class VsockService {
  static final int RX = 0;
  static final int TX = 1;

  /** The largest payload that Linux sends, and takes. */
  private static final int MAX_PAYLOAD = 64 << 10;

  /**
   * Packets and connections of one kind before the others have their turn, and before the driver is
   * told of them: an interrupt costs as much as several packets.
   */
  private static final int TURN = 16;

  /**
   * Connections that a guest is done with and whose peers have not read all: beyond it, what is
   * left is dropped.
   */
  private static final int MOST_DRAINING = 64;

  /** Where ports of the host's processes that connect are taken from, as Firecracker does. */
  private static final int FIRST_HOST_PORT = 1 << 30;

  private static final int LAST_HOST_PORT = Integer.MAX_VALUE;

  /** That a socket can be written to is asked for only when it could not. */
  private static final int WATCHED =
      Poller.READABLE | Poller.PEER_SENDS_NO_MORE | Poller.EDGE_TRIGGERED;

  private final long guestCid;
  private final Fd listener;
  private final Dialer dialer;
  private final Questions questions;
  private final Poller poller;
  private final StreamSocket sockets;
  private final EnumCounters<VsockEvent> counters;
  private final LiveQueue rx;
  private final LiveQueue tx;
  private final QueueSignals signals;
  private final IoVector vector;
  private final PacketHeader in = new PacketHeader();
  private final PacketHeader out = new PacketHeader();
  private final MemorySegment command = Arena.ofAuto().allocate(ConnectCommand.MAX_BYTES);

  private final ConnectionTable table;
  private final SendBuffer.Pool buffers = new SendBuffer.Pool();
  private final Resets resets = new Resets();
  private final ArrayDeque<Connection> speakers = new ArrayDeque<>();
  private final ArrayDeque<Connection> dials = new ArrayDeque<>();
  private volatile int connections;
  private boolean connectionsWait = true;
  private int nextHostPort = FIRST_HOST_PORT;
  private int draining;

  /**
   * @param listener non-blocking
   * @param questions of all activations
   * @param poller watches the connections' sockets, by {@link Connection#key}
   * @param connections of the device's queues
   * @param mostBuffers of a chain
   */
  VsockService(
      long guestCid,
      Fd listener,
      Dialer dialer,
      Questions questions,
      Poller poller,
      StreamSocket sockets,
      EnumCounters<VsockEvent> counters,
      Activation activation,
      List<QueueConnection> connections,
      int mostBuffers) {
    this.guestCid = guestCid;
    this.listener = listener;
    this.dialer = dialer;
    this.questions = questions;
    this.table = new ConnectionTable(questions.firstGeneration());
    this.poller = poller;
    this.sockets = sockets;
    this.counters = counters;
    this.rx = new LiveQueue(connections.get(RX), activation.memory());
    this.tx = new LiveQueue(connections.get(TX), activation.memory());
    this.signals = activation.signals();
    this.vector = new IoVector(activation.memory(), mostBuffers);
  }

  /** From now on packets of this kind are in this ring; those of events are none. */
  void startQueue(int index, Virtqueue ring) {
    switch (index) {
      case RX -> rx.start(ring);
      case TX -> tx.start(ring);
      default -> {}
    }
  }

  /** Leaves a queue alone from now on. What was to go by it waits, as do the connections. */
  void stopQueue(int index) {
    switch (index) {
      case RX -> rx.stop();
      case TX -> tx.stop();
      default -> {}
    }
  }

  /** How many connections there are; any thread may ask. */
  int connections() {
    return connections;
  }

  /** Processes of the host wait to be accepted. */
  void connectionsWait() {
    connectionsWait = true;
  }

  /**
   * Does some of what can be done now, and no more than that: a guest that never stops would keep
   * out whoever else has to do with the device.
   *
   * @return whether there may be more
   */
  boolean serve() {
    boolean more = transmit();
    more |= deliver();
    more |= accept(); // Last: who waits for room is told of once, and it is made by the others.
    rx.interruptIfWanted(signals);
    tx.interruptIfWanted(signals);
    connections = table.count();
    return more || asksForNotifications();
  }

  /** Whether it was needless: there is something to do already. */
  private boolean asksForNotifications() {
    boolean starves = !resets.isEmpty() || !speakers.isEmpty();
    boolean rxNews = starves && rx.enableNotifications();
    boolean txNews = !resets.isFull() && tx.enableNotifications();
    return rxNews || txNews;
  }

  /** The driver has to reset the device before it can go on. */
  void needsReset(Throwable cause) {
    signals.needsReset(cause);
  }

  /** Ends all connections. */
  void close() {
    for (int i = 0; i < table.made(); i++) {
      Connection connection = table.made(i);
      if (connection.state != State.FREE) {
        end(connection);
      }
    }
    questions.generationsUsed(table.nextGeneration());
    buffers.close();
    connections = 0;
  }

  // ---- Processes of the host connect. ----

  /** Nobody is taken in while the guest cannot be asked or cannot answer. */
  private boolean accept() {
    if (!rx.hasRing() || !tx.hasRing()) {
      return false;
    }
    for (int n = 0; connectionsWait && !table.isFull(); n++) {
      if (n == TURN) {
        return true;
      }
      int accepted = sockets.accept(listener);
      if (accepted == -Errno.EAGAIN) {
        connectionsWait = false;
      } else if (accepted < 0) {
        // They wait on, and are looked for again when something else has happened: most likely a
        // file has been closed then.
        counters.increment(VsockEvent.ERRORS_SOCKET);
        return false;
      } else {
        begin(Fd.owning(accepted));
      }
    }
    return false;
  }

  private void begin(Fd socket) {
    Connection connection = requireNonNull(table.allocate(), "there was room");
    connection.begin(State.COMMAND);
    connection.socket = socket;
    if (!watch(connection)) {
      end(connection);
    }
  }

  private boolean watch(Connection connection) {
    try {
      poller.add(socketOf(connection), WATCHED, connection.key());
      return true;
    } catch (LinuxException e) {
      counters.increment(VsockEvent.ERRORS_SOCKET);
      return false;
    }
  }

  /** Reads {@code CONNECT <port>}, once it is there whole, and nothing of what follows it. */
  private void readCommand(Connection connection) {
    Fd socket = socketOf(connection);
    point(command);
    long there = sockets.peek(socket, vector.address(), vector.count());
    if (there == -Errno.EAGAIN) {
      return;
    }
    int end = lineFeed(there);
    if (end < 0 && there > 0 && there < ConnectCommand.MAX_BYTES && !connection.endAnnounced) {
      return;
    }
    byte[] line = command.toArray(ValueLayout.JAVA_BYTE);
    long port = end < 0 ? -1 : ConnectCommand.port(line, end);
    if (port < 0) {
      counters.increment(VsockEvent.ERRORS_COMMAND);
      end(connection);
      return;
    }
    point(command.asSlice(0, end + 1));
    long ignored = sockets.receive(socket, vector.address(), vector.count());
    request(connection, (int) port);
  }

  private int lineFeed(long length) {
    for (int i = 0; i < length; i++) {
      if (command.get(ValueLayout.JAVA_BYTE, i) == '\n') {
        return i;
      }
    }
    return -1;
  }

  private void request(Connection connection, int port) {
    connection.guestPort = port;
    do {
      connection.hostPort = nextHostPort;
      nextHostPort = nextHostPort == LAST_HOST_PORT ? FIRST_HOST_PORT : nextHostPort + 1;
    } while (table.byPorts(connection.hostPort, port) != null);
    table.bind(connection);
    connection.state = State.REQUESTED;
    connection.owe(OWES_REQUEST);
    wake(connection);
  }

  /** The guest has accepted: the host's process hears which port it has, and is connected. */
  private void accepted(Connection connection) {
    String line = "OK " + Integer.toUnsignedString(connection.hostPort) + "\n";
    MemorySegment bytes = command.asSlice(0, line.length());
    bytes.copyFrom(MemorySegment.ofArray(line.getBytes(StandardCharsets.US_ASCII)));
    point(bytes);
    // Whether it is gone or not, the rest of its life is that of any other connection.
    long ignored = sockets.send(socketOf(connection), vector.address(), vector.count());
    counters.increment(VsockEvent.CONNECTIONS_FROM_HOST);
    connection.state = State.ESTABLISHED;
    wake(connection);
  }

  // ---- The guest connects. ----

  private void open() {
    Connection connection = table.allocate();
    if (connection == null) {
      counters.increment(VsockEvent.REFUSED_TOO_MANY);
      resets.add(in);
      return;
    }
    connection.begin(State.DIALING);
    connection.hostPort = in.destinationPort;
    connection.guestPort = in.sourcePort;
    connection.heard(in);
    table.bind(connection);
    if (!connection.inDials) {
      connection.inDials = true;
      dials.addLast(connection);
    }
    dialNext();
  }

  private void dialNext() {
    while (questions.mayAsk() && !dials.isEmpty()) {
      Connection connection = dials.removeFirst();
      connection.inDials = false;
      if (connection.state != State.DIALING || connection.dialed) {
        continue; // It was given up meanwhile.
      }
      connection.dialed = true;
      questions.asked();
      if (!dialer.dial(connection.key(), connection.hostPort)) {
        questions.answered();
        refused(connection);
      }
    }
  }

  /**
   * The worker's answer, which is counted already.
   *
   * @param socket connected, this service's from now on; null if nobody listens there
   */
  void dialed(int key, @Nullable Fd socket) {
    Connection connection = table.byKey(key);
    if (connection == null || connection.state != State.DIALING) {
      if (socket != null) {
        socket.close();
      }
    } else if (socket == null) {
      refused(connection);
    } else {
      connection.socket = socket;
      if (watch(connection)) {
        counters.increment(VsockEvent.CONNECTIONS_FROM_GUEST);
        connection.state = State.ESTABLISHED;
        connection.owe(OWES_RESPONSE);
        wake(connection);
      } else {
        reset(connection);
      }
    }
    dialNext();
  }

  /** There will be no more answers. */
  void workerLost() {
    for (int i = 0; i < table.made(); i++) {
      Connection connection = table.made(i);
      if (connection.state == State.DIALING && connection.dialed) {
        refused(connection);
      }
    }
    dialNext();
  }

  private void refused(Connection connection) {
    counters.increment(VsockEvent.REFUSED_BY_HOST);
    reset(connection);
  }

  // ---- Packets of the guest. ----

  /** Takes packets from the guest; returns whether there may be more. */
  private boolean transmit() {
    tx.disableNotifications();
    for (int n = 0; n < TURN; n++) {
      if (resets.isFull() || !tx.take()) {
        return false;
      }
      received(tx.chain());
      tx.complete(0);
    }
    return true;
  }

  private void received(DescriptorChain chain) {
    if (chain.defect() != null) {
      counters.increment(VsockEvent.ERRORS_DESCRIPTORS);
      return;
    }
    if (chain.readableBytes() < PacketHeader.BYTES) {
      counters.increment(VsockEvent.ERRORS_MALFORMED);
      return;
    }
    in.readFrom(chain);
    if (in.sourceCid != guestCid || in.destinationCid != HOST_CID) {
      counters.increment(VsockEvent.ERRORS_CID);
    } else if (in.type != TYPE_STREAM) {
      // 5.10.6.4.1: "[…] MUST send a VIRTIO_VSOCK_OP_RST reply if a packet is received with an
      // unknown type value."
      counters.increment(VsockEvent.ERRORS_TYPE);
      answerReset();
    } else {
      dispatch(table.byPorts(in.destinationPort, in.sourcePort));
    }
  }

  private void dispatch(@Nullable Connection connection) {
    if (connection != null) {
      connection.heard(in);
      dispatchTo(connection);
      wake(connection);
    } else if (in.operation == PacketHeader.OP_REQUEST) {
      open();
    } else if (in.operation != PacketHeader.OP_RST) {
      // Linux sends an RST for each end of the host's: one as its answer, and one more when its
      // process closes the socket. The second is of no connection, and no error.
      counters.increment(VsockEvent.ERRORS_NO_CONNECTION);
      answerReset();
    }
  }

  /** Never to an RST: two that answer each other would never stop. */
  private void answerReset() {
    if (in.operation != PacketHeader.OP_RST) {
      resets.add(in);
    }
  }

  private void dispatchTo(Connection connection) {
    if (in.operation == PacketHeader.OP_RST) {
      resetByGuest(connection);
    } else if (connection.state == State.ENDING) {
      afterTheEnd(connection);
    } else if (!connection.owes(OWES_RESET)) { // Otherwise it is over; the guest will hear it.
      dispatchToLive(connection);
    }
  }

  private void dispatchToLive(Connection connection) {
    boolean established = connection.state == State.ESTABLISHED;
    switch (in.operation) {
      case PacketHeader.OP_RESPONSE -> {
        if (connection.state == State.REQUESTED && !connection.owes(OWES_REQUEST)) {
          accepted(connection);
        } else {
          misplaced(connection);
        }
      }
      case PacketHeader.OP_RW -> {
        if (established && (connection.guestShutdown & SHUTDOWN_SEND) == 0) {
          data(connection);
        } else {
          misplaced(connection);
        }
      }
      case PacketHeader.OP_SHUTDOWN -> {
        if (established) {
          shutDown(connection);
        } else {
          misplaced(connection);
        }
      }
      case PacketHeader.OP_CREDIT_UPDATE -> {} // Heard already.
      case PacketHeader.OP_CREDIT_REQUEST -> connection.owe(OWES_CREDIT_UPDATE);
      default -> misplaced(connection);
    }
  }

  /** What the guest sent before it knew that nobody would have it, and its own goodbye. */
  private void afterTheEnd(Connection connection) {
    if (in.operation == PacketHeader.OP_SHUTDOWN) {
      connection.owe(OWES_RESET);
    } else if (in.operation == PacketHeader.OP_RW) {
      counters.add(VsockEvent.BYTES_DROPPED, Integer.toUnsignedLong(in.length));
    }
  }

  private void misplaced(Connection connection) {
    counters.increment(VsockEvent.ERRORS_OPERATION);
    reset(connection);
  }

  private void resetByGuest(Connection connection) {
    if (connection.state == State.REQUESTED) {
      counters.increment(VsockEvent.REFUSED_BY_GUEST);
    }
    end(connection);
  }

  private void data(Connection connection) {
    int length = in.length;
    if (length < 0 || length > tx.chain().readableBytes() - PacketHeader.BYTES) {
      counters.increment(VsockEvent.ERRORS_MALFORMED);
      reset(connection);
    } else if (length > connection.room()) {
      counters.increment(VsockEvent.ERRORS_CREDIT);
      reset(connection);
    } else {
      connection.received(length);
      forward(connection, length);
    }
  }

  /** Passes on what the packet has: into the socket, or behind what waits already. */
  private void forward(Connection connection, int length) {
    int done = 0;
    if (connection.hostReceivesNoMore) {
      counters.add(VsockEvent.BYTES_DROPPED, length);
      done = length;
    } else if (connection.buffer == null && length > 0) {
      vector.clear();
      tx.chain().gatherReadable(PacketHeader.BYTES, length, vector);
      done = send(connection, length);
    }
    connection.forwarded(done);
    if (done < length) {
      keep(connection, done, length - done);
    } else if (connection.owesRoom()) {
      connection.owe(OWES_CREDIT_UPDATE);
    }
  }

  /** Sends from the vector; returns how many of its {@code length} bytes are done with. */
  private int send(Connection connection, int length) {
    long sent = sockets.send(socketOf(connection), vector.address(), vector.count());
    if (sent >= 0) {
      counters.add(VsockEvent.BYTES_TO_HOST, sent);
      return (int) sent;
    }
    if (sent == -Errno.EAGAIN) {
      return 0;
    }
    connection.hostReceivesNoMore = true;
    counters.add(VsockEvent.BYTES_DROPPED, length);
    return length;
  }

  private void keep(Connection connection, int from, int count) {
    SendBuffer buffer = connection.buffer;
    if (buffer == null) {
      buffer = buffers.take();
      if (buffer == null) {
        counters.increment(VsockEvent.ERRORS_NO_BUFFER);
        reset(connection);
        return;
      }
      counters.increment(VsockEvent.STALLS_OF_HOST);
      connection.buffer = buffer;
      poller.modify(socketOf(connection), WATCHED | Poller.WRITABLE, connection.key());
    }
    buffer.append(tx.chain(), PacketHeader.BYTES + (long) from, count);
  }

  /** The host's process has taken something: more of what waits for it can go. */
  private void flush(Connection connection) {
    SendBuffer buffer = connection.buffer;
    if (buffer == null) {
      return;
    }
    vector.clear();
    buffer.gather(vector);
    int done = send(connection, buffer.length());
    connection.forwarded(done);
    buffer.remove(done);
    if (buffer.isEmpty()) {
      giveBack(connection);
      poller.modify(socketOf(connection), WATCHED, connection.key());
      if ((connection.guestShutdown & SHUTDOWN_SEND) != 0) {
        sockets.shutdown(socketOf(connection), StreamSocket.SHUT_SENDING);
      }
    }
    if (connection.owesRoom()) {
      connection.owe(OWES_CREDIT_UPDATE);
    }
  }

  private void giveBack(Connection connection) {
    if (connection.buffer != null) {
      buffers.giveBack(connection.buffer);
      connection.buffer = null;
    }
  }

  /**
   * 5.10.6.5: the flags stay once they are said. When both are, the answer is RST, and what the
   * host's process has not read yet it still gets.
   */
  private void shutDown(Connection connection) {
    int news = in.flags & SHUTDOWN_BOTH & ~connection.guestShutdown;
    connection.guestShutdown |= news;
    if (connection.guestShutdown == SHUTDOWN_BOTH) {
      connection.owe(OWES_RESET);
    } else if (news == SHUTDOWN_SEND && connection.buffer == null) {
      sockets.shutdown(socketOf(connection), StreamSocket.SHUT_SENDING);
    } else if (news == SHUTDOWN_RECEIVE) {
      sockets.shutdown(socketOf(connection), StreamSocket.SHUT_RECEIVING);
      connection.noteHangUp();
    }
  }

  // ---- Sockets of the host. ----

  /** Something has happened to the socket of a connection. */
  void ready(int key, int readiness) {
    Connection connection = table.byKey(key);
    if (connection == null) {
      return; // It ended while this was on its way.
    }
    connection.readable |= (readiness & ~Poller.WRITABLE) != 0;
    connection.hungUp |= (readiness & (Poller.HANG_UP | Poller.ERROR)) != 0;
    connection.endAnnounced |= connection.hungUp || (readiness & Poller.PEER_SENDS_NO_MORE) != 0;
    switch (connection.state) {
      case COMMAND -> readCommand(connection);
      case REQUESTED -> {
        if (connection.hungUp) { // It does not wait for the guest's answer.
          reset(connection);
        }
      }
      case ESTABLISHED -> {
        flush(connection);
        connection.noteHangUp();
        wake(connection);
      }
      case DRAINING -> drain(connection);
      case DIALING, ENDING, FREE -> {} // Without a socket.
    }
  }

  private void drain(Connection connection) {
    flush(connection);
    if (connection.buffer == null) {
      end(connection);
    }
  }

  // ---- Packets for the guest. ----

  /** Puts a connection among those who are to be heard, if it has something to say. */
  private void wake(Connection connection) {
    if (connection.asksForCredit()) {
      counters.increment(VsockEvent.STALLS_OF_GUEST);
      connection.owe(OWES_CREDIT_REQUEST);
    }
    if (!connection.inSpeakers && connection.hasToSay()) {
      connection.inSpeakers = true;
      speakers.addLast(connection);
    }
  }

  /** Fills the guest's buffers; returns whether there may be more to say and buffers for it. */
  private boolean deliver() {
    rx.disableNotifications();
    for (int n = 0; n < TURN; n++) {
      if ((resets.isEmpty() && speakers.isEmpty()) || !rx.take()) {
        return false;
      }
      if (!isOfUse(rx.chain())) {
        rx.complete(0);
        continue;
      }
      int bytes = packet();
      if (bytes > 0) { // It is kept if there is nothing for it after all.
        rx.complete(bytes);
      }
    }
    return true;
  }

  private boolean isOfUse(DescriptorChain buffer) {
    if (buffer.defect() != null) {
      counters.increment(VsockEvent.ERRORS_DESCRIPTORS);
      return false;
    }
    if (buffer.readableBytes() > 0 || buffer.writableBytes() <= PacketHeader.BYTES) {
      counters.increment(VsockEvent.ERRORS_MALFORMED);
      return false;
    }
    return true;
  }

  /** Writes the next packet into the buffer; returns its length, 0 if there is none after all. */
  private int packet() {
    if (!resets.isEmpty()) {
      begin(0, 0);
      out.bufferSize = 0;
      out.forwarded = 0;
      resets.take(out);
      counters.increment(VsockEvent.RESETS);
      out.writeTo(rx.chain());
      return PacketHeader.BYTES;
    }
    Connection connection = speakers.removeFirst();
    connection.inSpeakers = false;
    int bytes = packet(connection);
    wake(connection);
    return bytes;
  }

  private void begin(int operation, int flags) {
    out.sourceCid = HOST_CID;
    out.destinationCid = guestCid;
    out.type = TYPE_STREAM;
    out.operation = operation;
    out.flags = flags;
    out.length = 0;
  }

  private int packet(Connection connection) {
    if (connection.pay(OWES_RESET)) {
      int bytes = control(connection, PacketHeader.OP_RST, 0);
      counters.increment(VsockEvent.RESETS);
      endByReset(connection);
      return bytes;
    }
    if (connection.pay(OWES_REQUEST)) {
      return control(connection, PacketHeader.OP_REQUEST, 0);
    }
    if (connection.pay(OWES_RESPONSE)) {
      return control(connection, PacketHeader.OP_RESPONSE, 0);
    }
    if (connection.state == State.ESTABLISHED) {
      int bytes =
          data(connection, Math.min(rx.chain().writableBytes() - PacketHeader.BYTES, MAX_PAYLOAD));
      if (bytes > 0) {
        return bytes;
      }
      if (connection.shutdownToTell() != 0) {
        return shutdown(connection);
      }
    }
    if (connection.pay(OWES_CREDIT_REQUEST)) {
      return control(connection, PacketHeader.OP_CREDIT_REQUEST, 0);
    }
    if (connection.pay(OWES_CREDIT_UPDATE)) {
      return control(connection, PacketHeader.OP_CREDIT_UPDATE, 0);
    }
    return 0;
  }

  private int control(Connection connection, int operation, int flags) {
    begin(operation, flags);
    return write(connection);
  }

  private int write(Connection connection) {
    out.sourcePort = connection.hostPort;
    out.destinationPort = connection.guestPort;
    connection.tellRoom(out);
    out.writeTo(rx.chain());
    return PacketHeader.BYTES + out.length;
  }

  /** Reads from the socket straight into the buffer, no more than the guest has room for. */
  private int data(Connection connection, long most) {
    long wanted = Math.min(most, connection.mayRead());
    if (!connection.wantsToRead() || wanted == 0) {
      return 0;
    }
    vector.clear();
    rx.chain().gatherWritable(PacketHeader.BYTES, wanted, vector);
    long got = sockets.receive(socketOf(connection), vector.address(), vector.count());
    if (got <= 0) {
      connection.readable = false;
      if (got != -Errno.EAGAIN) { // The end, or an error, which is an end too.
        connection.hostSendsNoMore = true;
        connection.hostReceivesNoMore |= connection.hungUp || got < 0;
      }
      return 0;
    }
    // Fewer than there was room for: that was all, and what comes later is told of. But the end may
    // have been told of together with what was before it.
    connection.readable = got == wanted || connection.endAnnounced;
    connection.sent(got);
    counters.add(VsockEvent.BYTES_TO_GUEST, got);
    begin(PacketHeader.OP_RW, 0);
    out.length = (int) got;
    return write(connection);
  }

  /** 5.10.6.5. Once neither direction is left, the guest is to answer with RST. */
  private int shutdown(Connection connection) {
    int flags = connection.tellShutdown();
    if (flags == SHUTDOWN_BOTH) {
      closeSocket(connection);
      connection.state = State.ENDING;
    }
    return control(connection, PacketHeader.OP_SHUTDOWN, flags);
  }

  // ---- Ends. ----

  /** Ends a connection whose guest has yet to hear of it. */
  private void reset(Connection connection) {
    closeSocket(connection);
    connection.owe(OWES_RESET);
    wake(connection);
  }

  /** The guest has heard the last. */
  private void endByReset(Connection connection) {
    if (connection.buffer != null && draining < MOST_DRAINING) {
      table.unbind(connection);
      connection.state = State.DRAINING;
      draining++;
    } else {
      end(connection);
    }
  }

  private void end(Connection connection) {
    if (connection.state == State.DRAINING) {
      draining--;
    }
    closeSocket(connection);
    table.unbind(connection);
    table.release(connection);
  }

  private void closeSocket(Connection connection) {
    if (connection.buffer != null) {
      counters.add(VsockEvent.BYTES_DROPPED, connection.buffer.length());
      giveBack(connection);
    }
    Fd socket = connection.socket;
    if (socket == null) {
      return;
    }
    connection.socket = null;
    try {
      // By closing alone it would stay watched for as long as another process has it open too.
      poller.remove(socket);
    } catch (LinuxException e) {
      // It never was watched.
    }
    socket.close();
  }

  private static Fd socketOf(Connection connection) {
    return requireNonNull(connection.socket, "without a socket");
  }

  private void point(MemorySegment segment) {
    vector.clear();
    vector.add(segment);
  }
}

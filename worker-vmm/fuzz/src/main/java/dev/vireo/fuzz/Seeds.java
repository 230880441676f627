package dev.vireo.fuzz;

import static java.util.Objects.requireNonNull;

import dev.vireo.fuzz.Operation.Kind;
import java.io.ByteArrayOutputStream;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;

/** Programs to begin with, by name: what a driver does, and what goes wrong most easily. */
final class Seeds {
  private static final int ALL_FEATURES = 0xff;
  private static final int NO_INDIRECT_NO_EVENT_INDEX = ~(3 << 28);
  private static final int NEXT = 1;
  private static final int WRITE = 2;
  private static final int INDIRECT = 4;
  private static final int IN_INDIRECT_TABLE = 8;
  private static final int TO_INDIRECT_TABLE = 0x20;

  /** Types of a memory device's requests (5.15.6). */
  private static final int PLUG = 0;

  private static final int UNPLUG = 1;
  private static final int UNPLUG_ALL = 2;

  /** Types of a disk's requests (5.2.6). */
  private static final int WRITE_OUT = 1;

  private static final int FLUSH = 4;
  private static final int DISCARD = 11;
  private static final int WRITE_ZEROES = 13;

  /** Of RESET_QUEUE: set up again, with 16 entries. */
  private static final int RINGS_ANEW = 4 << 1 | 1;

  /** Events of control messages of a console's (VIRTIO 1.2, section 5.3.6.2). */
  private static final int DEVICE_READY = 0;

  private static final int PORT_READY = 3;
  private static final int PORT_OPEN = 6;

  /** Places and lengths of a descriptor: area, offset, length. */
  private static final int HEADER_16 = place(4, 0, 16);

  /** As SET_UP_QUEUE numbers them. */
  private static final String[] RINGS = {"descriptor-table", "available-ring", "used-ring"};

  private static final int DATA_512 = place(5, 0, 512);
  private static final int STATUS_1 = place(7, 0, 1);

  private Seeds() {}

  static byte[] named(String name) {
    return requireNonNull(all().get(name), name);
  }

  static Map<String, byte[]> all() {
    Map<String, byte[]> seeds = new LinkedHashMap<>();
    seeds.put(
        "request",
        started().then(Kind.REQUEST, 0, 0).then(Kind.NOTIFY, Operation.CURRENT_QUEUE, 0).bytes());
    seeds.put(
        "host-event",
        started()
            .then(Kind.DESCRIPTOR, 0, WRITE, 0, place(5, 0, 2048))
            .then(Kind.OFFER, 0, 0)
            .then(Kind.NOTIFY, 0, 0)
            .then(Kind.HOST_EVENT, 0, 0)
            .bytes());
    seeds.put("second-queue", started().then(Kind.REQUEST, 0, 0).then(Kind.NOTIFY, 1, 0).bytes());
    seeds.put(
        "indirect-request",
        started().then(Kind.REQUEST, 0, 1).then(Kind.NOTIFY, Operation.CURRENT_QUEUE, 0).bytes());
    seeds.put("many-requests", manyRequests());
    seeds.put(
        "without-event-index",
        new Builder()
            .then(Kind.START, ALL_FEATURES, 4, 0, NO_INDIRECT_NO_EVENT_INDEX)
            .then(Kind.REQUEST, 0, 0)
            .then(Kind.NOTIFY, Operation.CURRENT_QUEUE, 0)
            .then(Kind.ACKNOWLEDGE, 0, 0)
            .then(Kind.AVAILABLE, 1, 0, 0, 1)
            .then(Kind.REQUEST, 3, 0)
            .then(Kind.NOTIFY, Operation.CURRENT_QUEUE, 0)
            .bytes());
    seeds.put(
        "chain-of-its-own",
        started()
            .then(Kind.DESCRIPTOR, 0, NEXT, 1, HEADER_16)
            .then(Kind.DESCRIPTOR, 1, NEXT | WRITE, 2, DATA_512)
            .then(Kind.DESCRIPTOR, 2, WRITE, 0, STATUS_1)
            .then(Kind.OFFER, 0, 0)
            .then(Kind.NOTIFY, Operation.CURRENT_QUEUE, 0)
            .bytes());
    seeds.put(
        "indirect-of-its-own",
        started()
            .then(Kind.DESCRIPTOR, 0, NEXT, 1, HEADER_16)
            .then(Kind.DESCRIPTOR, 1, INDIRECT | TO_INDIRECT_TABLE, 0, place(3, 0, 32))
            .then(Kind.DESCRIPTOR, 0, NEXT | WRITE | IN_INDIRECT_TABLE, 1, DATA_512)
            .then(Kind.DESCRIPTOR, 1, WRITE | IN_INDIRECT_TABLE, 0, STATUS_1)
            .then(Kind.OFFER, 0, 0)
            .then(Kind.NOTIFY, Operation.CURRENT_QUEUE, 0)
            .bytes());
    seeds.put(
        "loop",
        started()
            .then(Kind.DESCRIPTOR, 0, NEXT, 0, HEADER_16)
            .then(Kind.OFFER, 0, 0)
            .then(Kind.NOTIFY, Operation.CURRENT_QUEUE, 0)
            .bytes());
    seeds.put(
        "head-out-of-range",
        started().then(Kind.OFFER, 255, 0).then(Kind.NOTIFY, Operation.CURRENT_QUEUE, 0).bytes());
    seeds.put(
        "head-just-out-of-range",
        startedSmall()
            .then(Kind.OFFER, 16, 0)
            .then(Kind.NOTIFY, Operation.CURRENT_QUEUE, 0)
            .bytes());
    seeds.put(
        "next-just-out-of-range",
        startedSmall()
            .then(Kind.DESCRIPTOR, 0, NEXT, 16, HEADER_16)
            .then(Kind.OFFER, 0, 0)
            .then(Kind.NOTIFY, Operation.CURRENT_QUEUE, 0)
            .bytes());
    seeds.put(
        "index-jump",
        started()
            .then(Kind.AVAILABLE, 0, 0, 0, 0x8000)
            .then(Kind.NOTIFY, Operation.CURRENT_QUEUE, 0)
            .bytes());
    seeds.put(
        "buffer-at-the-end",
        started()
            .then(Kind.DESCRIPTOR, 0, NEXT, 1, HEADER_16)
            .then(Kind.DESCRIPTOR, 1, WRITE, 0, place(10, 512, 513))
            .then(Kind.OFFER, 0, 0)
            .then(Kind.NOTIFY, Operation.CURRENT_QUEUE, 0)
            .bytes());
    seeds.put(
        "buffer-on-its-ring",
        started()
            .then(Kind.DESCRIPTOR, 0, NEXT, 1, HEADER_16)
            .then(Kind.DESCRIPTOR, 1, WRITE, 0, place(1, 0, 513))
            .then(Kind.OFFER, 0, 0)
            .then(Kind.NOTIFY, Operation.CURRENT_QUEUE, 0)
            .bytes());
    for (Host.Fault fault : Host.Fault.ALL) {
      seeds.put(
          "host-" + fault.name().toLowerCase(Locale.ROOT),
          started()
              .then(Kind.HOST_FAULT, 0, Host.Fault.ALL.indexOf(fault))
              .then(Kind.REQUEST, 0, 0)
              .then(Kind.NOTIFY, Operation.CURRENT_QUEUE, 0)
              .then(Kind.REQUEST, 3, 0)
              .then(Kind.NOTIFY, Operation.CURRENT_QUEUE, 0)
              .bytes());
    }
    seeds.put("by-registers", byRegisters());
    seeds.put(
        "reset-and-again",
        started()
            .then(Kind.REQUEST, 0, 0)
            .then(Kind.NOTIFY, Operation.CURRENT_QUEUE, 0)
            .then(Kind.RESET, 0, 0)
            .then(Kind.NOTIFY, Operation.CURRENT_QUEUE, 0)
            .then(Kind.START, ALL_FEATURES, 8, 0, -1)
            .then(Kind.REQUEST, 0, 0)
            .then(Kind.NOTIFY, Operation.CURRENT_QUEUE, 0)
            .bytes());
    seeds.put(
        "stopped-queue",
        started()
            .then(Kind.STOP_QUEUE, 0, 0)
            .then(Kind.REQUEST, 0, 0)
            .then(Kind.NOTIFY, Operation.CURRENT_QUEUE, 0)
            .bytes());
    Builder queueReset = started().then(Kind.REQUEST, 0, 0).then(Kind.NOTIFY, 1, 0);
    for (int queue = 0; queue < 2; queue++) {
      queueReset
          .then(Kind.WRITE_REGISTER, 3, 0, 0, queue) // QueueSel
          .then(Kind.WRITE_REGISTER, 26, 0, 0, 1) // QueueReset
          .then(Kind.SET_UP_QUEUE, queue, 4);
    }
    seeds.put("queue-reset", queueReset.then(Kind.REQUEST, 0, 0).then(Kind.NOTIFY, 1, 0).bytes());
    seeds.put(
        "queue-reset-alone",
        started()
            .then(Kind.REQUEST, 0, 0)
            .then(Kind.NOTIFY, Operation.CURRENT_QUEUE, 0)
            .then(Kind.RESET_QUEUE, 0, RINGS_ANEW)
            .then(Kind.RESET_QUEUE, 1, RINGS_ANEW)
            .then(Kind.REQUEST, 0, 0)
            .then(Kind.NOTIFY, Operation.CURRENT_QUEUE, 0)
            .bytes());
    seeds.put(
        "queue-reset-while-it-waits",
        receiving(4)
            .then(Kind.REQUEST, 0, 0)
            .then(Kind.RESET_QUEUE, 0, RINGS_ANEW)
            .then(Kind.RESET_QUEUE, 1, RINGS_ANEW)
            .then(Kind.HOST_EVENT, 0, 0, 0, 0x100)
            .bytes());
    seeds.putAll(disks());
    seeds.putAll(underWay());
    seeds.putAll(network());
    seeds.putAll(connections());
    seeds.putAll(memory());
    seeds.putAll(clients());
    seeds.put(
        "scribble",
        started()
            .then(Kind.REQUEST, 0, 0)
            .then(Kind.NOTIFY, Operation.CURRENT_QUEUE, 0)
            .then(Kind.SCRIBBLE, 64, 0, 0, 12_345)
            .then(Kind.NOTIFY, Operation.CURRENT_QUEUE, 0)
            .bytes());
    return seeds;
  }

  /** What else a driver asks of a disk (5.2.6). */
  private static Map<String, byte[]> disks() {
    Map<String, byte[]> seeds = new LinkedHashMap<>();
    seeds.put("disk-written", disk(disk(started(), WRITE_OUT, DATA_512), FLUSH, 0).bytes());
    seeds.put(
        "disk-written-in-part",
        disk(
                started().then(Kind.HOST_FAULT, 0, Host.Fault.ALL.indexOf(Host.Fault.SHORT)),
                WRITE_OUT,
                DATA_512)
            .bytes());
    Builder range = started().then(Kind.MEMORY, 5, 8, 0, 2); // Two sectors from the first on.
    seeds.put("disk-discarded", disk(range, DISCARD, place(5, 0, 16)).bytes());
    seeds.put("disk-zeroed", disk(range, WRITE_ZEROES, place(5, 0, 16)).bytes());
    return seeds;
  }

  /**
   * @param data that the device reads, if any
   */
  private static Builder disk(Builder program, int type, int data) {
    program
        .then(Kind.MEMORY, 4, 0, 0, type)
        .then(Kind.DESCRIPTOR, 0, NEXT, data == 0 ? 2 : 1, HEADER_16);
    if (data != 0) {
      program.then(Kind.DESCRIPTOR, 1, NEXT, 2, data);
    }
    return program
        .then(Kind.DESCRIPTOR, 2, WRITE, 0, STATUS_1)
        .then(Kind.OFFER, 0, 0)
        .then(Kind.NOTIFY, 0, 0);
  }

  /** Requests that the host holds up, and memory that goes under them. */
  private static Map<String, byte[]> underWay() {
    Map<String, byte[]> seeds = new LinkedHashMap<>();
    seeds.put("full-queue", fullQueue(started()).then(Kind.HOST_EVENT, 0, 0).bytes());
    seeds.put("full-queue-is-reset", fullQueue(started()).then(Kind.RESET, 0, 0).bytes());
    seeds.put(
        "full-queue-is-reset-alone",
        fullQueue(started()).then(Kind.RESET_QUEUE, 0, RINGS_ANEW).bytes());
    seeds.put(
        "head-that-is-under-way",
        held(started())
            .then(Kind.REQUEST, 0, 0)
            .then(Kind.REQUEST, 0, 0)
            .then(Kind.NOTIFY, Operation.CURRENT_QUEUE, 0)
            .then(Kind.HOST_EVENT, 0, 0)
            .bytes());
    for (int ring = 0; ring < RINGS.length; ring++) {
      seeds.put(RINGS[ring] + "-goes-before-a-reset", inPluggable(ring).bytes());
      seeds.put(
          RINGS[ring] + "-goes-before-a-request",
          inPluggable(ring)
              .then(Kind.REQUEST, 3, 0)
              .then(Kind.NOTIFY, Operation.CURRENT_QUEUE, 0)
              .bytes());
    }
    seeds.put(
        "used-ring-goes-under-a-request",
        held(ringInPluggable(2))
            .then(Kind.REQUEST, 0, 0)
            .then(Kind.NOTIFY, Operation.CURRENT_QUEUE, 0)
            .then(Kind.PLUG, 0, 0)
            .then(Kind.HOST_EVENT, 0, 0)
            .bytes());
    seeds.put(
        "status-goes-under-a-request",
        held(started())
            .then(Kind.PLUG, 0, 0, 1, 0)
            .then(Kind.REQUEST, 0, 0)
            .then(Kind.DESCRIPTOR, 2, WRITE, 0, place(15, 0, 1))
            .then(Kind.NOTIFY, Operation.CURRENT_QUEUE, 0)
            .then(Kind.PLUG, 0, 0)
            .then(Kind.HOST_EVENT, 0, 0)
            .bytes());
    return seeds;
  }

  private static Builder held(Builder program) {
    return program.then(Kind.HOST_FAULT, 0, Host.Fault.ALL.indexOf(Host.Fault.HELD));
  }

  private static Builder fullQueue(Builder program) {
    return held(program).then(Kind.REQUESTS, 255, 0).then(Kind.NOTIFY, Operation.CURRENT_QUEUE, 0);
  }

  /** A request, and then one of the rings it went through is gone. */
  private static Builder inPluggable(int ring) {
    return ringInPluggable(ring)
        .then(Kind.REQUEST, 0, 0)
        .then(Kind.NOTIFY, Operation.CURRENT_QUEUE, 0)
        .then(Kind.PLUG, 0, 0);
  }

  /** The first queue's, in the first block. */
  private static Builder ringInPluggable(int ring) {
    return new Builder()
        .then(Kind.NEGOTIATE, ALL_FEATURES, 0, 0, -1)
        .then(Kind.PLUG, 0, 0, 1, 0)
        .then(Kind.SET_UP_QUEUE, 0, 4, ring, place(15, 0, 0) | 0x100)
        .then(Kind.SET_UP_QUEUE, 1, 4)
        .then(Kind.DRIVER_OK, 0, 0);
  }

  /** What a driver asks of a memory device, and where it must not have its buffers. */
  private static Map<String, byte[]> memory() {
    int response = place(7, 0, 10);
    int responseInFirstBlock = place(15, 0, 10);
    Map<String, byte[]> seeds = new LinkedHashMap<>();
    Builder comeAndGo = started();
    blocks(comeAndGo, PLUG, 0, 16, response);
    blocks(comeAndGo, UNPLUG, 3, 2, response);
    blocks(comeAndGo, PLUG, 4, 1, response);
    blocks(comeAndGo, UNPLUG_ALL, 0, 0, response);
    seeds.put("blocks-come-and-go", comeAndGo.bytes());
    Builder wrong = started();
    blocks(wrong, PLUG, 15, 2, response);
    blocks(wrong, UNPLUG, 0, 1, response);
    seeds.put("blocks-that-there-are-not", wrong.bytes());
    Builder poor = started().then(Kind.HOST_FAULT, 0, 0);
    seeds.put("host-without-memory", blocks(poor, PLUG, 0, 1, response).bytes());
    Builder less = started().then(Kind.HOST_EVENT, 0, 0, 0, 1);
    seeds.put("asked-for-less", blocks(less, PLUG, 0, 2, response).bytes());
    Builder sawing = blocks(started(), PLUG, 0, 1, responseInFirstBlock);
    blocks(sawing, PLUG, 0, 1, response);
    seeds.put(
        "response-in-an-unplugged-block",
        blocks(sawing, UNPLUG, 0, 1, responseInFirstBlock).bytes());
    return seeds;
  }

  private static Builder blocks(Builder so, int type, int first, int count, int response) {
    long address = GuestLayout.PLUGGABLE.base() + first * GuestLayout.PLUGGABLE.blockBytes();
    return so.then(Kind.MEMORY, 4, 0, 0, type)
        .then(Kind.MEMORY, 4, 8, 0, (int) address)
        .then(Kind.MEMORY, 4, 12, 0, (int) (address >>> 32))
        .then(Kind.MEMORY, 4, 16, 0, count)
        .then(Kind.DESCRIPTOR, 0, NEXT, 1, place(4, 0, 24))
        .then(Kind.DESCRIPTOR, 1, WRITE, 0, response)
        .then(Kind.OFFER, 0, 0)
        .then(Kind.NOTIFY, 0, 0);
  }

  /** What a network device's host does (see {@link HostNetwork#happen}), and its commands. */
  private static Map<String, byte[]> network() {
    Map<String, byte[]> seeds = new LinkedHashMap<>();
    seeds.put("frame-in-one-buffer", receiving(1).then(Kind.HOST_EVENT, 0, 0, 0, 0x100).bytes());
    seeds.put(
        "frame-in-many-buffers", receiving(12).then(Kind.HOST_EVENT, 0, 0, 0, 20_000 << 8).bytes());
    seeds.put("frames-at-once", receiving(12).then(Kind.HOST_EVENT, 0, 0, 0, 0x40_0008).bytes());
    seeds.put("largest-frame", receiving(16).then(Kind.HOST_EVENT, 0, 0, 0, 15).bytes());
    seeds.put(
        "frame-without-buffers",
        receiving(1)
            .then(Kind.HOST_EVENT, 0, 0, 0, 20_000 << 8)
            .then(Kind.HOST_EVENT, 0, 0, 0, 11)
            .then(Kind.NOTIFY, 0, 0)
            .bytes());
    seeds.put(
        "link-down-and-up",
        receiving(2)
            .then(Kind.HOST_EVENT, 0, 0, 0, 9)
            .then(Kind.REQUEST, 8, 0)
            .then(Kind.NOTIFY, 1, 0)
            .then(Kind.READ_REGISTER, 21, 0, 0, 0)
            .then(Kind.HOST_EVENT, 0, 0, 0, 10)
            .then(Kind.REQUEST, 8, 0)
            .then(Kind.NOTIFY, 1, 0)
            .bytes());
    seeds.put(
        "interface-deleted",
        receiving(2)
            .then(Kind.HOST_EVENT, 0, 0, 0, 13)
            .then(Kind.REQUEST, 8, 0)
            .then(Kind.NOTIFY, 1, 0)
            .bytes());
    seeds.put(
        "two-pairs",
        started()
            .then(Kind.SELECT_QUEUE, 4, 0)
            .then(Kind.MEMORY, 4, 0, 0, 0x0002_0004) // class MQ, VQ_PAIRS_SET, 2
            .then(Kind.DESCRIPTOR, 0, NEXT, 1, place(4, 0, 4))
            .then(Kind.DESCRIPTOR, 1, WRITE, 0, STATUS_1)
            .then(Kind.OFFER, 0, 0)
            .then(Kind.NOTIFY, 4, 0)
            .then(Kind.SELECT_QUEUE, 2, 0)
            .then(Kind.DESCRIPTOR, 0, WRITE, 0, place(5, 0, 2048))
            .then(Kind.OFFER, 0, 0)
            .then(Kind.NOTIFY, 2, 0)
            .then(Kind.HOST_EVENT, 0, 0, 0, 0x110)
            .bytes());
    return seeds;
  }

  /**
   * What a vsock device's host does (see {@link HostProcesses#happen}). A request leaves a header
   * behind, of which the next packets change a word or two.
   */
  private static Map<String, byte[]> connections() {
    Map<String, byte[]> seeds = new LinkedHashMap<>();
    seeds.put("no-command", receiving(2).then(Kind.HOST_EVENT, 0, 0, 0, 0x1e01).bytes());
    seeds.put("many-connect", receiving(16).then(Kind.HOST_EVENT, 0, 0, 0, 15).bytes());
    seeds.put(
        "host-talks",
        connectedByHost()
            .then(Kind.HOST_EVENT, 0, 0, 0, 0x100_0002)
            .then(Kind.HOST_EVENT, 0, 0, 0, 7)
            .bytes());
    seeds.put("host-vanishes", connectedByHost().then(Kind.HOST_EVENT, 0, 0, 0, 6).bytes());
    Builder guestTalks = packet(connectedByHost(), 5).then(Kind.MEMORY, 4, 24, 0, 0x3000);
    for (int i = 0; i < 24; i++) { // More than the socket holds: nobody reads.
      guestTalks = guestTalks.then(Kind.OFFER, 0, 0).then(Kind.NOTIFY, 1, 0);
    }
    seeds.put("nobody-reads", guestTalks.bytes());
    seeds.put(
        "somebody-reads-at-last",
        guestTalks.then(Kind.HOST_EVENT, 0, 0, 0, 4).then(Kind.HOST_EVENT, 0, 0, 0, 4).bytes());
    seeds.put(
        "guest-connects",
        packet(packet(asked(), 1).then(Kind.HOST_EVENT, 0, 0, 0, 9), 4)
            .then(Kind.HOST_EVENT, 0, 0, 0, 6)
            .bytes());
    seeds.put("guest-is-refused", packet(asked(), 1).then(Kind.HOST_EVENT, 0, 0, 0, 11).bytes());
    seeds.put("worker-is-lost", packet(asked(), 1).then(Kind.HOST_EVENT, 0, 0, 0, 13).bytes());
    return seeds;
  }

  /** What a console device's clients do (see {@link HostClients#happen}), 0x10 is the pipe. */
  private static Map<String, byte[]> clients() {
    Map<String, byte[]> seeds = new LinkedHashMap<>();
    seeds.put(
        "clients-come-and-go",
        ports()
            .then(Kind.HOST_EVENT, 0, 0, 0, 0x10)
            .then(Kind.HOST_EVENT, 0, 0, 0, 0x10)
            .then(Kind.HOST_EVENT, 0, 0, 0, 0x17)
            .then(Kind.HOST_EVENT, 0, 0, 0, 0x17)
            .then(Kind.HOST_EVENT, 0, 0, 0, 0x1e)
            .bytes());
    Builder received =
        ports()
            .then(Kind.SELECT_QUEUE, 4, 0)
            .then(Kind.DESCRIPTOR, 0, WRITE, 0, place(6, 0, 64))
            .then(Kind.OFFER, 0, 0)
            .then(Kind.NOTIFY, 4, 0)
            .then(Kind.HOST_EVENT, 0, 0, 0, 0x10)
            .then(Kind.HOST_EVENT, 0, 0, 0, 100 << 8 | 0x12);
    seeds.put("client-sends", received.bytes());
    seeds.put("client-sends-and-is-gone", received.then(Kind.HOST_EVENT, 0, 0, 0, 0x17).bytes());
    Builder written = output(ports().then(Kind.HOST_EVENT, 0, 0, 0, 0x10), 5, 24);
    seeds.put("client-does-not-read", written.bytes());
    seeds.put("client-reads-at-last", written.then(Kind.HOST_EVENT, 0, 0, 0, 0x15).bytes());
    seeds.put(
        "queue-reset-while-a-client-does-not-read",
        output(ports().then(Kind.HOST_EVENT, 0, 0, 0, 0x10), 5, 24)
            .then(Kind.RESET_QUEUE, 5, RINGS_ANEW)
            .then(Kind.HOST_EVENT, 0, 0, 0, 0x15)
            .bytes());
    seeds.put(
        "console-client-is-not-waited-for",
        output(ports().then(Kind.HOST_EVENT, 0, 0, 0, 0), 1, 24)
            .then(Kind.HOST_EVENT, 0, 0, 0, 13)
            .bytes());
    seeds.put("output-is-kept", output(started(), 1, 2).then(Kind.HOST_EVENT, 0, 0, 0, 0).bytes());
    seeds.put("resize", ports().then(Kind.HOST_EVENT, 0, 0, 0, 0x2b84 << 8 | 11).bytes());
    seeds.put("no-such-port", control(ports(), 2, PORT_OPEN).bytes());
    return seeds;
  }

  /**
   * A vsock device has something for the guest, which has offered what is none in the first queue
   * and resets the second: whether the device comes upon that before or after is up to time.
   */
  static byte[] badOfferBeforeTheResetOfAnotherQueue() {
    return startedSmall()
        .then(Kind.HOST_EVENT, 0, 0)
        .then(Kind.OFFER, 16, 0)
        .then(Kind.RESET_QUEUE, 1, RINGS_ANEW)
        .bytes();
  }

  /** The control queues at work, and both ports open. */
  private static Builder ports() {
    Builder program = started().then(Kind.SELECT_QUEUE, 2, 0);
    for (int i = 0; i < 8; i++) {
      program.then(Kind.DESCRIPTOR, i, WRITE, 0, place(6, 0, 2048)).then(Kind.OFFER, i, 0);
    }
    control(program.then(Kind.NOTIFY, 2, 0), -1, DEVICE_READY);
    for (int port = 0; port < 2; port++) {
      control(control(program, port, PORT_READY), port, PORT_OPEN);
    }
    return program;
  }

  /** A control message of the driver, of success or "open". */
  private static Builder control(Builder program, int port, int event) {
    return program
        .then(Kind.SELECT_QUEUE, 3, 0)
        .then(Kind.MEMORY, 4, 0, 0, port)
        .then(Kind.MEMORY, 4, 4, 0, 1 << 16 | event)
        .then(Kind.DESCRIPTOR, 0, 0, 0, place(4, 0, 8))
        .then(Kind.OFFER, 0, 0)
        .then(Kind.NOTIFY, 3, 0);
  }

  private static Builder output(Builder program, int queue, int chains) {
    program.then(Kind.SELECT_QUEUE, queue, 0);
    for (int i = 0; i < chains; i++) {
      program
          .then(Kind.DESCRIPTOR, i, 0, 0, place(5, 0, 0x3000))
          .then(Kind.OFFER, i, 0)
          .then(Kind.NOTIFY, queue, 0);
    }
    return program;
  }

  /** Buffers in the first queue, and a header in its place. */
  private static Builder asked() {
    return receiving(8).then(Kind.REQUEST, 0, 0).then(Kind.NOTIFY, 1, 0);
  }

  /** A packet of operation {@code op}, with as much after the header as there may be. */
  private static Builder packet(Builder program, int op) {
    return program
        .then(Kind.SELECT_QUEUE, 1, 0)
        .then(Kind.MEMORY, 4, 28, 0, op << 16 | 1)
        .then(Kind.DESCRIPTOR, 0, NEXT, 1, place(4, 0, 44))
        .then(Kind.DESCRIPTOR, 1, 0, 0, place(5, 0, 0x3000))
        .then(Kind.OFFER, 0, 0)
        .then(Kind.NOTIFY, 1, 0);
  }

  private static Builder connectedByHost() {
    return packet(asked().then(Kind.HOST_EVENT, 0, 0, 0, 1024 << 8), 2);
  }

  /** With buffers of 2 KiB in the first queue. */
  private static Builder receiving(int buffers) {
    Builder program = started();
    for (int i = 0; i < buffers; i++) {
      program.then(Kind.DESCRIPTOR, i, WRITE, 0, place(6, 0, 2048)).then(Kind.OFFER, i, 0);
    }
    return program.then(Kind.NOTIFY, 0, 0);
  }

  private static int place(int area, int offset, int length) {
    return area << 28 | offset << 16 | length;
  }

  private static Builder started() {
    return new Builder().then(Kind.START, ALL_FEATURES, 8, 0, -1);
  }

  /** With queues of 16 entries. */
  private static Builder startedSmall() {
    return new Builder().then(Kind.START, ALL_FEATURES, 4, 0, -1);
  }

  private static byte[] manyRequests() {
    Builder program = started();
    for (int head = 0; head < 30; head += 3) {
      program.then(Kind.REQUEST, head, 0);
    }
    return program
        .then(Kind.NOTIFY, Operation.CURRENT_QUEUE, 0)
        .then(Kind.NOTIFY, 1, 0)
        .then(Kind.ACKNOWLEDGE, 0, 0)
        .bytes();
  }

  private static byte[] byRegisters() {
    return new Builder()
        .then(Kind.WRITE_REGISTER, 0, 0, 0, 1)
        .then(Kind.WRITE_REGISTER, 0, 0, 0, 3)
        .then(Kind.WRITE_REGISTER, 17, 0, 0, 1)
        .then(Kind.WRITE_REGISTER, 16, 0, 0, 1)
        .then(Kind.WRITE_REGISTER, 0, 0, 0, 11)
        .then(Kind.SET_UP_QUEUE, 0, 6)
        .then(Kind.WRITE_REGISTER, 0, 0, 0, 15)
        .then(Kind.REQUEST, 0, 0)
        .then(Kind.WRITE_REGISTER, 1, 0, 0, 0)
        .then(Kind.READ_REGISTER, 12, 0, 0, 0)
        .then(Kind.READ_REGISTER, 21, 0, 1, 0)
        .then(Kind.WRITE_REGISTER, 13, 0, 0, 1)
        .bytes();
  }

  private static final class Builder {
    private final ByteArrayOutputStream program = new ByteArrayOutputStream();

    Builder then(Kind kind, int a, int b) {
      return then(kind, a, b, 0, 0);
    }

    Builder then(Kind kind, int a, int b, int c, int value) {
      program.writeBytes(new Operation(kind, a, b, c, value).bytes());
      return this;
    }

    byte[] bytes() {
      return program.toByteArray();
    }
  }
}

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

  /** Places and lengths of a descriptor: area, offset, length. */
  private static final int HEADER_16 = place(4, 0, 16);

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

package dev.vireo.fuzz;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/** What the fuzzer begins with harms nobody, and gets where it is meant to get. */
@Timeout(60)
class SeedsTest {
  static Stream<Target> targets() {
    return Target.ALL.stream();
  }

  static void assumeRunnable(Target target) {
    target.hindrance().get().ifPresent(why -> Assumptions.abort(target.name() + ": " + why));
  }

  @ParameterizedTest
  @MethodSource("targets")
  void harmNobody(Target target) {
    assumeRunnable(target);
    try (Examination examination = new Examination(target, false)) {
      for (Map.Entry<String, byte[]> seed : Seeds.all().entrySet()) {
        try {
          Map<String, Long> ignored = examination.run(seed.getValue());
        } catch (RuntimeException | AssertionError e) {
          throw new AssertionError(seed.getKey(), e);
        }
      }
    }
  }

  @ParameterizedTest
  @MethodSource("targets")
  void doTheSameEachTime(Target target) {
    assumeRunnable(target);
    try (Examination examination = new Examination(target, false)) {
      for (Map.Entry<String, byte[]> seed : Seeds.all().entrySet()) {
        // What the host has done and no driver has heard of yet, a press, waits for the next
        // program.
        Map<String, Long> ignored = examination.run(seed.getValue());
        Map<String, Long> first = withoutSignals(examination.run(seed.getValue()));
        assertEquals(first, withoutSignals(examination.run(seed.getValue())), seed.getKey());
      }
    }
  }

  /** How many chains are told of at once, and how many signals are heard as one, is up to time. */
  private static Map<String, Long> withoutSignals(Map<String, Long> counters) {
    counters
        .keySet()
        .removeIf(name -> name.contains("interrupts") || name.contains("notifications"));
    return counters;
  }

  @ParameterizedTest
  @MethodSource("targets")
  void haveRequestsAnswered(Target target) {
    assumeRunnable(target);
    String requests = "queue" + target.request().queue() + ".requests";
    try (Examination examination = new Examination(target, false)) {
      Map.of("request", 1L, "indirect-request", 1L, "many-requests", 10L, "reset-and-again", 2L)
          .forEach((seed, count) ->
              assertEquals(count, examination.run(Seeds.named(seed)).get(requests), seed));
    }
  }

  /** As many as can be under way at once, and none is lost. */
  @ParameterizedTest
  @ValueSource(strings = {"block", "block-io-uring"})
  void fillAQueue(String name) {
    Target target = Target.named(name);
    assumeRunnable(target);
    try (Examination examination = new Examination(target, false)) {
      for (int i = 0; i < 20; i++) {
        Map<String, Long> counted = examination.run(Seeds.named("full-queue"));
        assertEquals(256L, counted.get("queue0.requests"));
        assertEquals(256L * 512, counted.get("bytes_read"));
      }
    }
  }

  /** The rings of a queue that is reset alone begin anew, with a request that is checked. */
  @ParameterizedTest
  @MethodSource("targets")
  void resetQueuesAlone(Target target) {
    assumeRunnable(target);
    try (Examination examination = new Examination(target, false)) {
      Map<String, Long> counted = examination.run(Seeds.named("queue-reset-alone"));
      String requests = "queue" + target.request().queue() + ".requests";
      assertTrue(counted.getOrDefault(requests, 0L) >= 3, counted::toString);
      assertFalse(counted.containsKey("illegal.queue_reset"), counted::toString);
    }
  }

  /** What both sides of a device do by themselves, not only what its driver asks for. */
  @ParameterizedTest
  @CsvSource({
    "block, full-queue, requests_read",
    "block, disk-written, bytes_written",
    "block, disk-discarded, requests_discard",
    "block, disk-zeroed, requests_write_zeroes",
    "block, used-ring-goes-before-a-request, illegal.ring",
    "block-io-uring, host-bad_descriptor, errors_input_output",
    "block-io-uring, host-end_of_file, errors_input_output",
    "block-io-uring, host-short, requests_read",
    "block-io-uring, disk-written, bytes_written",
    "block-io-uring, disk-written, requests_flush",
    "block-io-uring, disk-written-in-part, bytes_written",
    "block-io-uring, full-queue-is-reset, requests_read",
    "block-io-uring, full-queue-is-reset-alone, requests_read",
    "block-io-uring, head-that-is-under-way, illegal.ring",
    "block-io-uring, available-ring-goes-before-a-request, illegal.ring",
    "block-io-uring, descriptor-table-goes-before-a-request, illegal.ring",
    "block-io-uring, used-ring-goes-before-a-request, illegal.ring",
    "block-io-uring, used-ring-goes-under-a-request, illegal.ring",
    "block-io-uring, status-goes-under-a-request, illegal.ring",
    "net, frame-in-one-buffer, rx_frames",
    "net, frame-in-many-buffers, rx_frames",
    "net, frames-at-once, rx_frames",
    "net, frame-without-buffers, rx_dropped_no_buffers",
    "net, link-down-and-up, tx_dropped_link_down",
    "net, link-down-and-up, link_up",
    "net, interface-deleted, link_down",
    "net, two-pairs, control_accepted",
    "net, request, tx_frames",
    "vsock, no-command, errors_command",
    "vsock, host-talks, connections_from_host",
    "vsock, host-talks, bytes_to_guest",
    "vsock, nobody-reads, stalls_of_host",
    "vsock, nobody-reads, errors_credit",
    "vsock, somebody-reads-at-last, bytes_to_host",
    "vsock, guest-connects, connections_from_guest",
    "vsock, guest-is-refused, refused_by_host",
    "vsock, worker-is-lost, refused_by_host",
    "memory, blocks-come-and-go, bytes_plugged",
    "memory, blocks-come-and-go, bytes_unplugged",
    "memory, blocks-come-and-go, requests_unplug_all",
    "memory, blocks-that-there-are-not, errors_range",
    "memory, blocks-that-there-are-not, errors_state",
    "memory, host-without-memory, refused_by_host",
    "memory, asked-for-less, refused_beyond_requested",
    "memory, response-in-an-unplugged-block, errors_descriptors",
    "memory, response-in-an-unplugged-block, illegal.ring",
    "console, clients-come-and-go, clients",
    "console, client-sends, bytes_to_guest",
    "console, client-does-not-read, stalls_of_host",
    "console, queue-reset-while-a-client-does-not-read, stalls_of_host",
    "console, console-client-is-not-waited-for, bytes_dropped",
    "console, output-is-kept, bytes_to_host",
    "console, no-such-port, errors_port"
  })
  void getWhereTheyAreMeantTo(String name, String seed, String counter) {
    Target target = Target.named(name);
    assumeRunnable(target);
    try (Examination examination = new Examination(target, false)) {
      Map<String, Long> counted = examination.run(Seeds.named(seed));
      assertTrue(counted.containsKey(counter), counted::toString);
    }
  }

  @ParameterizedTest
  @MethodSource("targets")
  void breakTheRing(Target target) {
    assumeRunnable(target);
    try (Examination examination = new Examination(target, false)) {
      for (String seed :
          new String[] {"loop", "index-jump", "head-just-out-of-range", "next-just-out-of-range"}) {
        Map<String, Long> counted = examination.run(Seeds.named(seed));
        assertTrue(
            counted.containsKey("illegal.ring") || !usesFirstQueue(target),
            () -> seed + ": " + counted);
      }
    }
  }

  /** These seeds break the first queue, which not every device looks into before it must. */
  private static boolean usesFirstQueue(Target target) {
    return target.request().queue() == 0;
  }
}

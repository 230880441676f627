package dev.vireo.vmm.virtio.net;

import static dev.vireo.vmm.virtio.net.NetGuest.RECEIVE;
import static dev.vireo.vmm.virtio.net.NetGuest.frame;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.vireo.vmm.backend.RateLimiter;
import dev.vireo.vmm.trace.TraceFilter;
import dev.vireo.vmm.trace.TraceRecord;
import dev.vireo.vmm.trace.TraceRing;
import dev.vireo.vmm.virtio.queue.RequestDescription;
import dev.vireo.vmm.virtio.queue.RequestKind;
import dev.vireo.vmm.virtio.queue.RequestResult;
import dev.vireo.vmm.virtio.queue.TracedRequest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** What a trace tells of a network device's frames and commands. */
@Timeout(30)
class NetTraceTest {
  private final TraceRing ring = new TraceRing();
  private final TraceRecord record = new TraceRecord();

  private void assertTraced(RequestKind kind, RequestResult result, int queue, long bytes) {
    assertTrue(ring.take(record));
    assertEquals(
        new TracedRequest(0, queue, kind, result, RequestDescription.NO_OFFSET, bytes),
        TracedRequest.of(record));
  }

  private void trace(NetGuest guest) {
    guest.transport.trace(ring, new TraceFilter(false, true, "", 0));
  }

  @Test
  void aFrameToTheHostTookAsLongAsItsSending() {
    try (NetGuest guest = new NetGuest().initialize()) {
      trace(guest);
      guest.send(frame(60, 1));
      assertTraced(RequestKind.TRANSMIT, RequestResult.OK, 1, 12 + 60);
      assertTrue(record.durationNanos() > 0);
    }
  }

  @Test
  void aFrameToTheGuestHasNoDuration() {
    try (NetGuest guest = new NetGuest().initialize()) {
      trace(guest);
      guest.giveBuffer(0, 2000);
      guest.tap().send(frame(60, 1));
      guest.awaitUsed(RECEIVE);
      assertTraced(RequestKind.RECEIVE, RequestResult.OK, 0, 12 + 60);
      assertEquals(TraceRecord.NO_DURATION, record.durationNanos());
    }
  }

  /** Where the control queue is depends on whether the driver serves several pairs. */
  @ParameterizedTest
  @CsvSource({"true, 4", "false, 2"})
  void aCommandIsToldWithItsAnswer(boolean several, int queue) {
    try (NetGuest guest = new NetGuest(2, RateLimiter.UNLIMITED, RateLimiter.UNLIMITED)) {
      guest.initialize(
          several ? guest.device.features() : guest.device.features() & ~NetFeature.MQ);
      trace(guest);
      guest.command(queue, 99, 0);
      assertTraced(RequestKind.CONTROL, RequestResult.ERROR, queue, 2);
    }
  }
}

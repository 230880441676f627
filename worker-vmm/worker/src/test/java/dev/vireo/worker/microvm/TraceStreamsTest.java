package dev.vireo.worker.microvm;

import static dev.vireo.proto.vmm.v1.VmmRequest.RequestCase.BEGIN_TRACE;
import static dev.vireo.proto.vmm.v1.VmmRequest.RequestCase.END_TRACE;
import static dev.vireo.proto.vmm.v1.VmmRequest.RequestCase.READ_TRACE;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.protobuf.Duration;
import dev.vireo.proto.v1.TraceFilter;
import dev.vireo.proto.v1.TraceRecord;
import dev.vireo.proto.vmm.v1.BeginTraceRequest;
import dev.vireo.proto.vmm.v1.TraceBatch;
import dev.vireo.proto.vmm.v1.TracedAccess;
import dev.vireo.proto.vmm.v1.TracedExit;
import dev.vireo.proto.vmm.v1.TracedIo;
import dev.vireo.proto.vmm.v1.VmmResponse;
import dev.vireo.proto.vmm.v1.VmmState;
import dev.vireo.proto.vmm.v1.VmmStatus;
import dev.vireo.proto.worker.v1.ReadTrace;
import dev.vireo.proto.worker.v1.TraceChunk;
import dev.vireo.worker.time.ManualTime;
import dev.vireo.worker.vmm.FakeVmm;
import dev.vireo.worker.vmm.Vmm;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import org.junit.jupiter.api.Test;

/** Traces from a VMM's ring to a controller, by credit, and to each of their ends. */
class TraceStreamsTest {
  private static final long STREAM = 5;
  private static final java.time.Duration SHORTLY = java.time.Duration.ofMillis(100);

  private final ManualTime time = new ManualTime();
  private final FakeVmm vmm = new FakeVmm();
  private final List<TraceChunk> chunks = new ArrayList<>();
  private Optional<CompletableFuture<Optional<Vmm>>> found =
      Optional.of(CompletableFuture.completedFuture(Optional.of(vmm)));
  private final TraceStreams streams = new TraceStreams(uid -> found, time);

  private void begin(int credit, TraceFilter.Builder filter) {
    streams.read(
        ReadTrace.newBuilder()
            .setStreamId(STREAM)
            .setUid("uid-1")
            .setFilter(filter)
            .setCreditChunks(credit)
            .build(),
        chunks::add);
  }

  /** A stream that has begun. */
  private void begun(int credit) {
    begin(credit, TraceFilter.newBuilder());
    vmm.answer(BEGIN_TRACE);
  }

  private void grant(int credit) {
    streams.read(
        ReadTrace.newBuilder().setStreamId(STREAM).setCreditChunks(credit).build(), chunks::add);
  }

  private static VmmResponse batch(int records, long dropped) {
    TraceBatch.Builder batch = TraceBatch.newBuilder().setDropped(dropped);
    for (int i = 0; i < records; i++) {
      batch.addRecords(
          dev.vireo.proto.vmm.v1.TraceRecord.newBuilder()
              .setTimeNs(i)
              .setExit(TracedExit.newBuilder().setCause("hlt")));
    }
    return VmmResponse.newBuilder().setTrace(batch).build();
  }

  private static VmmResponse refusal(String reason, String field, String message) {
    return VmmResponse.newBuilder()
        .setErrorReason(reason)
        .setErrorField(field)
        .setErrorMessage(message)
        .build();
  }

  private long asked(dev.vireo.proto.vmm.v1.VmmRequest.RequestCase what) {
    return vmm.asked().stream().filter(what::equals).count();
  }

  private TraceChunk end() {
    TraceChunk last = chunks.getLast();
    assertTrue(last.getEnd());
    assertEquals(STREAM, last.getStreamId());
    return last;
  }

  /** Otherwise nobody could trace that microVM again. */
  @Test
  void aVmmThatBeginsTooLateIsToldToEnd() {
    begin(2, TraceFilter.newBuilder());
    time.pass(TraceStreams.ANSWER_WITHIN);
    assertEquals("VMM_UNRESPONSIVE", end().getReason());

    vmm.answer(BEGIN_TRACE);

    assertEquals(1, asked(END_TRACE));
    assertEquals(1, chunks.size());
  }

  @Test
  void itsFirstChunkSaysThatItHasBegun() {
    begin(
        2,
        TraceFilter.newBuilder()
            .setIo(true)
            .setDevice("root")
            .setSlowerThan(Duration.newBuilder().setSeconds(1).setNanos(5)));
    assertEquals(List.of(), chunks);
    assertEquals(
        BeginTraceRequest.newBuilder()
            .setIo(true)
            .setDevice("root")
            .setSlowerThanNs(1_000_000_005)
            .build(),
        vmm.lastRequest().getBeginTrace());
    vmm.answer(BEGIN_TRACE);
    assertEquals(List.of(TraceChunk.newBuilder().setStreamId(STREAM).build()), chunks);
    assertEquals(READ_TRACE, vmm.asked().getLast());
  }

  @Test
  void neitherMeansBoth() {
    begin(2, TraceFilter.newBuilder());
    assertTrue(vmm.lastRequest().getBeginTrace().getExits());
    assertTrue(vmm.lastRequest().getBeginTrace().getIo());
  }

  @Test
  void everyFieldOfARecordIsPassedOn() {
    begun(5);
    TraceBatch.Builder batch = TraceBatch.newBuilder();
    batch
        .setDropped(7)
        .addRecords(
            dev.vireo.proto.vmm.v1.TraceRecord.newBuilder()
                .setTimeNs(100)
                .setDurationNs(9)
                .setExit(
                    TracedExit.newBuilder()
                        .setVcpu(1)
                        .setCause("mmio.device")
                        .setAccess(
                            TracedAccess.newBuilder()
                                .setAddress(0xd000_0070L)
                                .setWrite(true)
                                .setWidth(4)
                                .setValue(15)
                                .setDevice("root")
                                .setRegister("Status"))))
        .addRecords(
            dev.vireo.proto.vmm.v1.TraceRecord.newBuilder()
                .setTimeNs(200)
                .setIo(
                    TracedIo.newBuilder()
                        .setDevice("root")
                        .setQueue(2)
                        .setKind("read")
                        .setResult("ok")
                        .setBytes(4096)
                        .setOffset(512)));
    vmm.answer(READ_TRACE, VmmResponse.newBuilder().setTrace(batch).build());

    TraceChunk chunk = chunks.getLast();
    assertEquals(7, chunk.getDropped());
    TraceRecord exit = chunk.getRecords(0);
    assertEquals(100, exit.getTimeNs());
    assertEquals(9, exit.getDurationNs());
    assertEquals(1, exit.getExit().getVcpu());
    assertEquals("mmio.device", exit.getExit().getCause());
    assertEquals(0xd000_0070L, exit.getExit().getAccess().getAddress());
    assertTrue(exit.getExit().getAccess().getWrite());
    assertEquals(4, exit.getExit().getAccess().getWidth());
    assertEquals(15, exit.getExit().getAccess().getValue());
    assertEquals("root", exit.getExit().getAccess().getDevice());
    assertEquals("Status", exit.getExit().getAccess().getRegister());
    TraceRecord io = chunk.getRecords(1);
    assertFalse(io.hasDurationNs());
    assertEquals("root", io.getIo().getDevice());
    assertEquals(2, io.getIo().getQueue());
    assertEquals("read", io.getIo().getKind());
    assertEquals("ok", io.getIo().getResult());
    assertEquals(4096, io.getIo().getBytes());
    assertEquals(512, io.getIo().getOffset());
  }

  @Test
  void itLooksAgainShortlyWhenTheRingIsEmptyAndAtOnceWhenThereIsMore() {
    begun(9);
    vmm.answer(READ_TRACE, batch(0, 0));
    assertEquals(1, asked(READ_TRACE));
    assertEquals(1, chunks.size(), "an empty read is no chunk");
    time.pass(SHORTLY);
    assertEquals(2, asked(READ_TRACE));
    vmm.answer(READ_TRACE, batch(TraceStreams.MOST_RECORDS, 0));
    assertEquals(3, asked(READ_TRACE));
  }

  @Test
  void withoutCreditTheVmmIsNotAsked() {
    begun(2);
    vmm.answer(READ_TRACE, batch(TraceStreams.MOST_RECORDS, 0));
    time.pass(SHORTLY);
    assertEquals(1, asked(READ_TRACE));
    assertEquals(0, time.alarms());
    grant(1);
    assertEquals(2, asked(READ_TRACE));
    vmm.answer(READ_TRACE, batch(1, 4000));
    assertEquals(4000, chunks.getLast().getDropped());
  }

  @Test
  void creditForOneThatHasEndedBeginsNothing() {
    begun(9);
    streams.cancel(STREAM);
    grant(3);
    assertEquals(List.of(BEGIN_TRACE, READ_TRACE, END_TRACE), vmm.asked());
  }

  @Test
  void cancelledItEndsWithoutAWordAndTheVmmTracesNoMore() {
    begun(9);
    streams.cancel(STREAM);
    assertEquals(END_TRACE, vmm.asked().getLast());
    vmm.answer(READ_TRACE, batch(3, 0));
    time.pass(SHORTLY);
    assertEquals(1, chunks.size());
    assertEquals(1, asked(READ_TRACE));
  }

  @Test
  void cancelledBeforeItBeganItEndsAsSoonAsItHas() {
    begin(9, TraceFilter.newBuilder());
    streams.cancel(STREAM);
    assertEquals(List.of(BEGIN_TRACE), vmm.asked());
    vmm.answer(BEGIN_TRACE);
    assertEquals(List.of(BEGIN_TRACE, END_TRACE), vmm.asked());
    assertEquals(List.of(), chunks);
  }

  @Test
  void theEndOfASessionEndsIt() {
    begun(9);
    streams.cancelAll();
    assertEquals(END_TRACE, vmm.asked().getLast());
  }

  @Test
  void anothersTraceIsNotEndedByTheRefusalOfThisOne() {
    begin(9, TraceFilter.newBuilder());
    vmm.answer(BEGIN_TRACE, refusal("TRACE_BUSY", "", "the microVM is being traced"));
    assertEquals("TRACE_BUSY", end().getReason());
    assertEquals("the microVM is being traced", end().getError());
    assertEquals(List.of(BEGIN_TRACE), vmm.asked());
  }

  @Test
  void aFieldThatIsWrongIsNamed() {
    begin(9, TraceFilter.newBuilder().setDevice("none"));
    vmm.answer(BEGIN_TRACE, refusal("FIELD_INVALID", "filter.device", "is none"));
    assertEquals("FIELD_INVALID", end().getReason());
    assertEquals("filter.device", end().getField());
  }

  @Test
  void whatIsNotHereOrDoesNotRunIsRefused() {
    found = Optional.empty();
    begin(9, TraceFilter.newBuilder());
    assertEquals("MICROVM_NOT_FOUND", end().getReason());

    found = Optional.of(CompletableFuture.completedFuture(Optional.empty()));
    begin(9, TraceFilter.newBuilder());
    assertEquals("STATE_CONFLICT", end().getReason());
  }

  @Test
  void itEndsWellWithItsVmm() {
    begun(9);
    vmm.dies();
    assertEquals("", end().getError());
  }

  @Test
  void whatAnEndedVmmStillHasIsReadFirst() {
    begun(9);
    vmm.answer(READ_TRACE, ended(batch(2, 0)));
    assertEquals(2, chunks.getLast().getRecordsCount());
    time.pass(SHORTLY);
    vmm.answer(READ_TRACE, ended(batch(0, 0)));
    assertEquals("", end().getError());
  }

  private static VmmResponse ended(VmmResponse response) {
    return response.toBuilder()
        .setStatus(VmmStatus.newBuilder().setState(VmmState.VMM_ENDED))
        .build();
  }
}

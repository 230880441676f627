package dev.vireo.vmm.control;

import dev.vireo.proto.errors.ErrorReason;
import dev.vireo.proto.vmm.v1.BeginTraceRequest;
import dev.vireo.proto.vmm.v1.TraceBatch;
import dev.vireo.proto.vmm.v1.TracedAccess;
import dev.vireo.proto.vmm.v1.TracedExit;
import dev.vireo.proto.vmm.v1.TracedIo;
import dev.vireo.vmm.machine.Machine;
import dev.vireo.vmm.trace.TraceFilter;
import dev.vireo.vmm.trace.TraceRecord;
import dev.vireo.vmm.trace.TraceRing;
import dev.vireo.vmm.virtio.mmio.MmioTransport;
import dev.vireo.vmm.virtio.mmio.Register;
import dev.vireo.vmm.virtio.queue.RequestDescription;
import dev.vireo.vmm.virtio.queue.TracedRequest;
import org.jspecify.annotations.Nullable;

/**
 * The trace that a worker has asked for, if there is one: its ring exists as long as it does. Its
 * worker fetches what is in there when it can; meanwhile the ring fills and drops, and nobody
 * waits. Used by the control thread alone.
 */
final class Tracing {
  /** Of a batch, whatever is asked for: with their names some 50 KiB. */
  static final int MOST_RECORDS = 512;

  private final TraceRecord record = new TraceRecord();
  private @Nullable Machine traced;
  private @Nullable TraceRing ring;

  /**
   * Begins.
   *
   * @throws RequestException if there is a trace already, or no such device
   */
  void begin(BeginTraceRequest request, Machine machine) throws RequestException {
    if (ring != null) {
      throw new RequestException(ErrorReason.TRACE_BUSY, "", "the microVM is being traced");
    }
    TraceFilter filter =
        new TraceFilter(
            request.getExits(),
            request.getIo(),
            request.getDevice(),
            Math.max(0, request.getSlowerThanNs()));
    checkDevice(filter, machine);
    TraceRing made = new TraceRing();
    ring = made;
    traced = machine;
    machine.trace(made, filter);
  }

  private static void checkDevice(TraceFilter filter, Machine machine) throws RequestException {
    StringBuilder all = new StringBuilder();
    for (MmioTransport transport : machine.transports()) {
      String id = transport.device().id();
      if (filter.wantsDevice(id)) {
        return;
      }
      all.append(all.isEmpty() ? "" : ", ").append(id);
    }
    if (!filter.device().isEmpty()) {
      throw new RequestException(
          ErrorReason.FIELD_INVALID,
          "filter.device",
          "is none of this microVM's devices: " + (all.isEmpty() ? "it has none" : all) + ".");
    }
  }

  /**
   * Takes out what is there.
   *
   * @throws RequestException without a trace
   */
  TraceBatch read(int mostRecords) throws RequestException {
    if (ring == null || traced == null) {
      throw new RequestException(ErrorReason.STATE_CONFLICT, "", "the microVM is not traced");
    }
    int most = Math.clamp(mostRecords, 0, MOST_RECORDS);
    TraceBatch.Builder batch = TraceBatch.newBuilder().setDropped(ring.takeDropped());
    while (batch.getRecordsCount() < most && ring.take(record)) {
      batch.addRecords(message(record, traced));
    }
    return batch.build();
  }

  /** Ends it, and lets go of the ring. Harmless if there is none. */
  void end() {
    if (traced != null) {
      traced.endTrace();
    }
    traced = null;
    ring = null;
  }

  private static dev.vireo.proto.vmm.v1.TraceRecord message(TraceRecord record, Machine machine) {
    var message = dev.vireo.proto.vmm.v1.TraceRecord.newBuilder().setTimeNs(record.timeNanos());
    if (record.durationNanos() != TraceRecord.NO_DURATION) {
      message.setDurationNs(record.durationNanos());
    }
    if (TracedRequest.is(record)) {
      message.setIo(io(TracedRequest.of(record), machine));
    } else {
      message.setExit(exit(dev.vireo.vmm.machine.TracedExit.of(record), machine));
    }
    return message.build();
  }

  private static TracedIo io(TracedRequest request, Machine machine) {
    TracedIo.Builder io =
        TracedIo.newBuilder()
            .setDevice(machine.transports().get(request.slot()).device().id())
            .setQueue(request.queue())
            .setKind(request.kind().label())
            .setResult(request.result().label())
            .setBytes(request.bytes());
    if (request.offset() != RequestDescription.NO_OFFSET) {
      io.setOffset(request.offset());
    }
    return io.build();
  }

  private static TracedExit exit(dev.vireo.vmm.machine.TracedExit of, Machine machine) {
    TracedExit.Builder exit = TracedExit.newBuilder().setVcpu(of.vcpu()).setCause(of.cause());
    if (of.width() > 0) {
      TracedAccess.Builder access =
          TracedAccess.newBuilder()
              .setAddress(of.address())
              .setWrite(of.write())
              .setWidth(of.width())
              .setValue(of.value());
      if (of.isDevice()) {
        nameRegister(access, machine);
      }
      exit.setAccess(access);
    }
    return exit.build();
  }

  private static void nameRegister(TracedAccess.Builder access, Machine machine) {
    for (MmioTransport transport : machine.transports()) {
      long offset = access.getAddress() - transport.slot().base();
      if (offset >= 0 && offset < transport.slot().size()) {
        access.setDevice(transport.device().id()).setRegister(Register.name((int) offset));
      }
    }
  }
}

package dev.vireo.vmm.control;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.vireo.linux.Fd;
import dev.vireo.linux.testing.Patience;
import dev.vireo.proto.errors.ErrorReason;
import dev.vireo.proto.vmm.v1.BeginTraceRequest;
import dev.vireo.proto.vmm.v1.TraceRecord;
import dev.vireo.proto.vmm.v1.TracedAccess;
import dev.vireo.proto.vmm.v1.TracedIo;
import dev.vireo.proto.vmm.v1.VmmResponse;
import dev.vireo.proto.vmm.v1.VmmStatus;
import dev.vireo.vmm.trace.TraceRing;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.function.Predicate;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/**
 * What a VMM's trace tells of the probe: its exits, its disk's requests, and when it is refused.
 */
@Tag("kvm")
@Timeout(600)
final class TracingTest {
  private static final String PROBE =
      Path.of(System.getProperty("vireo.root"), "ops/guest/probe/build/probe.elf").toString();

  /** Reads the disk for ever. */
  private static final String READER = "probe.run=blk-read probe.ops=0 probe.depth=4";

  private static final Duration PATIENCE = Patience.ofSeconds(60);

  private static final int RING_RECORDS = TraceRing.RECORDS;
  private static final int SERIAL_DATA = 0x3f8;
  private static final long DISK_BYTES = 1 << 20;

  private final Fd kvm = Fd.open("/dev/kvm", Fd.O_RDWR);
  private final Fd probe = Fd.open(PROBE, Fd.O_RDONLY);
  private final Fd console = Fd.memory("console", 0);
  private final Fd exitRecord = Fd.memory("exit record", 0);
  private final Fd disk = Fd.memory("disk", DISK_BYTES);
  private final VmmClient vmm;

  TracingTest() throws IOException {
    vmm = VmmClient.spawn();
  }

  private void runGuest(String arguments) {
    VmmResponse created =
        vmm.create(
            new VmmClient.Create(kvm, probe, console, exitRecord)
                .commandLine(arguments)
                .disk("disk0", disk));
    assertEquals("", created.getErrorReason(), created::getErrorMessage);
    vmm.awaitStatus(VmmStatus::getConsoleReady);
  }

  @AfterEach
  void close() {
    vmm.close();
    kvm.close();
    probe.close();
    console.close();
    exitRecord.close();
    disk.close();
  }

  private static BeginTraceRequest.Builder all() {
    return BeginTraceRequest.newBuilder().setExits(true).setIo(true);
  }

  private void begin(BeginTraceRequest.Builder wanted) {
    assertEquals("", vmm.beginTrace(wanted).getErrorReason());
  }

  private void assertRefused(ErrorReason reason, VmmResponse response) {
    assertEquals(reason.name(), response.getErrorReason(), response::getErrorMessage);
  }

  private List<TraceRecord> read() {
    return vmm.readTrace(1000).getTrace().getRecordsList();
  }

  private TraceRecord await(Predicate<TraceRecord> wanted) {
    TraceRecord[] found = new TraceRecord[1];
    Awaitility.await()
        .atMost(PATIENCE)
        .until(() -> {
          for (TraceRecord record : read()) {
            if (wanted.test(record)) {
              found[0] = record;
            }
          }
          return found[0] != null;
        });
    return found[0];
  }

  @Test
  void itTellsOfEachRequestOfADisk() {
    runGuest(READER);
    begin(all().setExits(false));
    TraceRecord record = await(TraceRecord::hasIo);
    TracedIo io = record.getIo();
    assertEquals("disk0", io.getDevice());
    assertEquals("read", io.getKind());
    assertEquals("ok", io.getResult());
    assertEquals(4096, io.getBytes());
    assertTrue(io.getOffset() % 4096 == 0 && io.getOffset() < DISK_BYTES, io::toString);
    assertTrue(record.getDurationNs() > 0);
    assertTrue(read().stream().allMatch(TraceRecord::hasIo), "exits were not asked for");
  }

  @Test
  void itTellsOfExits() {
    runGuest("probe.run=tick probe.interval_ms=1 probe.ops=0");
    begin(all().setIo(false));
    TraceRecord record = await(r -> r.getExit().getAccess().getAddress() == SERIAL_DATA);
    TracedAccess access = record.getExit().getAccess();
    assertEquals("pio.serial", record.getExit().getCause());
    assertTrue(access.getWrite());
    assertTrue(access.getWidth() > 0);
    byte first = (byte) access.getValue();
    assertTrue(first >= '\n' && first <= 'z', access::toString);
    assertTrue(record.getDurationNs() > 0);
  }

  @Test
  void oneAtATimeAndAnotherWhenItHasEnded() {
    runGuest(READER);
    begin(all());
    assertRefused(ErrorReason.TRACE_BUSY, vmm.beginTrace(all()));
    assertEquals("", vmm.endTrace().getErrorReason());
    assertRefused(ErrorReason.STATE_CONFLICT, vmm.readTrace(1));
    assertEquals("", vmm.endTrace().getErrorReason(), "harmless");
    begin(all());
  }

  @Test
  void itEndsWithItsConnection() {
    runGuest(READER);
    begin(all());
    vmm.disconnect();
    vmm.connect();
    assertRefused(ErrorReason.STATE_CONFLICT, vmm.readTrace(1));
    begin(all());
  }

  @Test
  void aDeviceThatIsNotThereIsRefusedWithThoseThatAre() {
    runGuest(READER);
    VmmResponse refused = vmm.beginTrace(all().setDevice("disk1"));
    assertRefused(ErrorReason.FIELD_INVALID, refused);
    assertEquals("filter.device", refused.getErrorField());
    assertTrue(refused.getErrorMessage().contains("disk0"), refused::getErrorMessage);
    begin(all().setDevice("disk0"));
  }

  @Test
  void whoDoesNotReadLosesRecordsAndTheGuestGoesOn() {
    runGuest("probe.run=blk-read probe.ops=0 probe.depth=128");
    begin(all().setExits(false));
    long before = requests();
    Awaitility.await().atMost(PATIENCE).until(() -> requests() > before + 2 * RING_RECORDS);
    VmmResponse response = vmm.readTrace(1000);
    assertTrue(response.getTrace().getDropped() >= RING_RECORDS, response::toString);
    assertEquals(512, response.getTrace().getRecordsCount(), "of a batch");
  }

  private long requests() {
    return vmm.inspect().getInspection().getDevices(0).getQueues(0).getRequests();
  }

  @Test
  void ofAGuestThatHasEndedThereIsNone() {
    runGuest(READER);
    vmm.stop(0);
    vmm.awaitEnd();
    assertRefused(ErrorReason.STATE_CONFLICT, vmm.beginTrace(all()));
  }
}

package dev.vireo.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.protobuf.Duration;
import com.google.protobuf.util.JsonFormat;
import dev.vireo.proto.errors.ErrorReason;
import dev.vireo.proto.errors.Errors;
import dev.vireo.proto.v1.ExitEvent;
import dev.vireo.proto.v1.GuestAccess;
import dev.vireo.proto.v1.IoEvent;
import dev.vireo.proto.v1.TraceFilter;
import dev.vireo.proto.v1.TraceMicroVmResponse;
import dev.vireo.proto.v1.TraceRecord;
import java.io.OutputStream;
import java.io.PrintStream;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** What {@code vireo trace} asks for, prints, and ends with. */
@Timeout(60)
class TraceCommandTest {
  private static final TraceMicroVmResponse BEGUN = TraceMicroVmResponse.getDefaultInstance();
  private static final TraceMicroVmResponse EXITS =
      TraceMicroVmResponse.newBuilder()
          .addRecords(
              TraceRecord.newBuilder()
                  .setTimeNs(5_000_000_000L)
                  .setDurationNs(18_240)
                  .setExit(
                      ExitEvent.newBuilder()
                          .setCause("mmio.device")
                          .setAccess(
                              GuestAccess.newBuilder()
                                  .setAddress(0xd000_0070L)
                                  .setWrite(true)
                                  .setWidth(4)
                                  .setValue(0xf)
                                  .setDevice("root")
                                  .setRegister("Status"))))
          .addRecords(
              TraceRecord.newBuilder()
                  .setTimeNs(5_000_120_000L)
                  .setDurationNs(900)
                  .setExit(
                      ExitEvent.newBuilder()
                          .setVcpu(1)
                          .setCause("pio.serial")
                          .setAccess(
                              GuestAccess.newBuilder()
                                  .setAddress(0x3fd)
                                  .setWidth(1)
                                  .setValue(0x60))))
          .addRecords(
              TraceRecord.newBuilder()
                  .setTimeNs(5_001_000_000L)
                  .setDurationNs(4_000_000_000L)
                  .setExit(ExitEvent.newBuilder().setCause("interrupted")))
          .build();
  private static final TraceMicroVmResponse IO =
      TraceMicroVmResponse.newBuilder()
          .setDropped(12_345)
          .addRecords(
              TraceRecord.newBuilder()
                  .setTimeNs(6_000_000_000L)
                  .setDurationNs(1_250_000)
                  .setIo(
                      IoEvent.newBuilder()
                          .setDevice("root")
                          .setKind("read")
                          .setResult("ok")
                          .setBytes(4096)
                          .setOffset(0x7c00)))
          .addRecords(
              TraceRecord.newBuilder()
                  .setTimeNs(6_500_000_000L)
                  .setIo(
                      IoEvent.newBuilder()
                          .setDevice("net0")
                          .setQueue(2)
                          .setKind("receive")
                          .setResult("ok")
                          .setBytes(74)))
          .addRecords(
              TraceRecord.newBuilder()
                  .setTimeNs(6_600_000_000L)
                  .setDurationNs(77)
                  .setIo(
                      IoEvent.newBuilder().setDevice("root").setKind("flush").setResult("error")))
          .build();

  private final FakeController controller = new FakeController();
  private final Cli cli = new Cli(controller);

  @AfterEach
  void close() {
    controller.close();
  }

  @Test
  void printsALineForEachExitAndEachRequest() {
    controller.trace(BEGUN, EXITS, IO);

    assertEquals(ExitCode.OK, cli.run("trace", "web-1"));

    assertEquals(
        """
            0.000000    18.2 us  vcpu0         mmio.device  write  root Status = 0xf
            0.000120     900 ns  vcpu1         pio.serial  read   0x3fd: 0x60
            0.001000     4.00 s  vcpu0         interrupted
                 ...  12,345 left out: too many to be read
            1.000000    1.25 ms  root/0        read  4.0 KiB at 0x7c00
            1.500000          -  net0/2        receive  74 B
            1.600000      77 ns  root/0        flush  error
        """,
        cli.out());
    assertEquals("tracing web-1; Ctrl-C ends it\n", cli.err());
  }

  @Test
  void asksForNoMoreThanIsWanted() {
    controller.trace(BEGUN);

    cli.run("trace", "web-1", "--io", "--device", "root", "--slower-than", "1s50us");

    assertEquals("projects/default/microvms/web-1", controller.traces.getFirst().getName());
    assertEquals(
        TraceFilter.newBuilder()
            .setIo(true)
            .setDevice("root")
            .setSlowerThan(Duration.newBuilder().setSeconds(1).setNanos(50_000))
            .build(),
        controller.traces.getFirst().getFilter());
    cli.run("trace", "web-1", "--exits");
    assertEquals(
        TraceFilter.newBuilder()
            .setExits(true)
            .setSlowerThan(Duration.getDefaultInstance())
            .build(),
        controller.traces.getLast().getFilter());
  }

  @Test
  void inJsonEachLineIsAMessageOfTheApi() throws Exception {
    controller.trace(BEGUN, EXITS, IO);

    cli.run("trace", "web-1", "-o", "json");

    List<String> lines = cli.out().lines().toList();
    assertEquals(7, lines.size());
    TraceMicroVmResponse.Builder first = TraceMicroVmResponse.newBuilder();
    JsonFormat.parser().merge(lines.getFirst(), first);
    assertEquals(List.of(EXITS.getRecords(0)), first.getRecordsList());
    assertEquals("{\"dropped\":\"12345\"}", lines.get(3));
  }

  @Test
  void endsAfterSoManyLines() {
    controller.trace(BEGUN, EXITS, IO).traceGoesOn();

    assertEquals(ExitCode.OK, cli.run("trace", "web-1", "--limit", "2"));

    assertEquals(2, cli.out().lines().count());
  }

  @Test
  void endsAfterATime() {
    controller.trace(BEGUN, EXITS).traceGoesOn();

    assertEquals(ExitCode.OK, cli.run("trace", "web-1", "--for", "200ms"));

    assertEquals(3, cli.out().lines().count());
    assertEquals("tracing web-1; Ctrl-C ends it\n", cli.err());
  }

  @Test
  void aTraceThatDidNotBeginInTimeFailed() {
    controller.trace().traceGoesOn();

    assertEquals(ExitCode.TIMED_OUT, cli.run("trace", "web-1", "--for", "100ms"));
  }

  /** As {@code vireo trace NAME | head} does. */
  @Test
  void endsWhenNobodyReadsItsOutput() {
    controller.trace(BEGUN, EXITS).traceGoesOn();
    Environment usual = cli.environment();
    PrintStream closed = new PrintStream(new ClosedPipe(), false);
    Environment piped =
        new Environment(
            closed, usual.err(), false, usual.clock(), usual.variables(), usual.connector());

    assertEquals(ExitCode.OK, Main.run(piped, "trace", "web-1"));
  }

  private static final class ClosedPipe extends OutputStream {
    @Override
    public void write(int octet) throws java.io.IOException {
      throw new java.io.IOException("Broken pipe");
    }
  }

  @Test
  void aNodeThatGoesAwayEndsIt() {
    controller.trace(BEGUN, EXITS).traceGoesOn();
    controller.failures.add(
        Errors.of(ErrorReason.NODE_UNREACHABLE, "the worker went away while its trace was read"));

    assertEquals(ExitCode.UNAVAILABLE, cli.run("trace", "web-1"));

    assertTrue(
        cli.err().contains("error: the worker went away while its trace was read\n"), cli.err());
  }

  @Test
  void aControllerThatGoesAwayEndsIt() {
    controller.trace(BEGUN, EXITS).traceGoesOn();
    Environment usual = cli.environment();
    PrintStream watched =
        new PrintStream(usual.out(), true) {
          @Override
          public void println(String line) {
            super.println(line);
            controller.close();
          }
        };
    Environment environment =
        new Environment(
            watched, usual.err(), false, usual.clock(), usual.variables(), usual.connector());

    assertEquals(ExitCode.UNAVAILABLE, Main.run(environment, "trace", "web-1"));

    assertEquals(3, cli.out().lines().count(), "what had come is told");
    assertTrue(cli.err().contains("error: the controller cannot be reached"), cli.err());
  }

  @Test
  void oneAtATime() {
    controller.trace(BEGUN);
    controller.failures.add(Errors.of(ErrorReason.TRACE_BUSY, "the microVM is being traced"));

    assertEquals(ExitCode.REFUSED, cli.run("trace", "web-1"));

    assertTrue(
        cli.err()
            .endsWith(
                """
                error: the microVM is being traced
                  reason: TRACE_BUSY
                  cause:  Somebody traces this microVM already.
                  remedy: Wait until that trace has ended: there is one at a time.
                """),
        cli.err());
  }

  @ParameterizedTest
  @CsvSource({
    "--limit, 0",
    "--limit, -1",
    "--limit, x",
    "--for, 5",
    "--slower-than, 1ns",
    "-o, name"
  })
  void whatMakesNoSenseIsWrongUsage(String option, String value) {
    assertEquals(ExitCode.USAGE, cli.run("trace", "web-1", option, value), cli::err);
    assertEquals(List.of(), controller.traces);
  }
}

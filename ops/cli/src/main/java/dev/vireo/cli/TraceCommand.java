package dev.vireo.cli;

import dev.vireo.proto.v1.TraceFilter;
import dev.vireo.proto.v1.TraceMicroVmRequest;
import dev.vireo.proto.v1.TraceMicroVmResponse;
import dev.vireo.proto.v1.TraceRecord;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import java.time.Duration;
import java.util.Iterator;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** {@code vireo trace}: what a VMM does, while it does it. */
@Command(
    name = "trace",
    description = "Prints every exit and every I/O of a microVM, with how long it took.",
    footer =
        "Until Ctrl-C, or the microVM ends. One trace of a microVM at a time. A guest does not wait"
            + " for it: what is too much is left out, and how much that was is said.")
final class TraceCommand implements Callable<Integer> {
  /** What people read, or scripts. */
  enum Format {
    TABLE,
    JSON;

    @Override
    public String toString() {
      return name().toLowerCase(java.util.Locale.ROOT);
    }
  }

  private final Environment environment;

  @Spec private @Nullable CommandSpec spec;
  @Mixin private final ServerOptions server = new ServerOptions();

  @Parameters(paramLabel = "NAME", description = "A microVM that runs or is paused.")
  private String name = "";

  @Option(names = "--exits", description = "Only exits to user space.")
  private boolean exits;

  @Option(names = "--io", description = "Only what devices do.")
  private boolean io;

  @Option(
      names = "--device",
      paramLabel = "ID",
      description = "Only this device and its registers; 'vireo inspect' names them.")
  private String device = "";

  @Option(
      names = "--slower-than",
      paramLabel = "TIME",
      description = "Only what took at least so long: 100us, 5ms.")
  private Duration slowerThan = Duration.ZERO;

  @Option(names = "--limit", paramLabel = "N", description = "End after so many lines.")
  private @Nullable Long limit;

  @Option(names = "--for", paramLabel = "TIME", description = "End after this time.")
  private @Nullable Duration time;

  @Option(
      names = {"-o", "--output"},
      paramLabel = "FORMAT",
      defaultValue = "table",
      description = "${COMPLETION-CANDIDATES}. Default: ${DEFAULT-VALUE}.")
  private Format format = Format.TABLE;

  TraceCommand(Environment environment) {
    this.environment = environment;
  }

  @Override
  public Integer call() {
    if (limit != null && limit < 1 && spec != null) {
      throw new ParameterException(spec.commandLine(), "--limit: 1 at least");
    }
    try (Api api = server.connect(environment)) {
      TraceMicroVmRequest request =
          TraceMicroVmRequest.newBuilder()
              .setName(api.microVmName(name))
              .setFilter(filter())
              .build();
      var stub = api.microVmStreams();
      print((time == null ? stub : stub.withDeadlineAfter(time)).traceMicroVm(request));
      return ExitCode.OK;
    }
  }

  private TraceFilter filter() {
    return TraceFilter.newBuilder()
        .setExits(exits)
        .setIo(io)
        .setDevice(device)
        .setSlowerThan(Converters.proto(slowerThan))
        .build();
  }

  private void print(Iterator<TraceMicroVmResponse> responses) {
    Printer printer = new Printer();
    try {
      while (printer.wantsMore() && responses.hasNext()) {
        printer.print(responses.next());
      }
    } catch (StatusRuntimeException e) {
      boolean timeIsUp =
          time != null && printer.begun && e.getStatus().getCode() == Status.Code.DEADLINE_EXCEEDED;
      if (!timeIsUp) {
        throw e;
      }
    }
  }

  private final class Printer {
    private final TraceView view = new TraceView();
    private boolean begun;
    private boolean unread;
    private long lines;

    boolean wantsMore() {
      return !unread && (limit == null || lines < limit);
    }

    void print(TraceMicroVmResponse response) {
      if (!begun) {
        begun = true;
        environment.err().println("tracing " + name + "; Ctrl-C ends it");
      }
      if (response.getDropped() != 0) {
        line(
            TraceView.dropped(response.getDropped()),
            TraceMicroVmResponse.newBuilder().setDropped(response.getDropped()).build());
      }
      for (TraceRecord record : response.getRecordsList()) {
        if (!wantsMore()) {
          break;
        }
        line(view.line(record), TraceMicroVmResponse.newBuilder().addRecords(record).build());
        lines++;
      }
      unread = environment.out().checkError(); // Flushes; and `| head` has had enough.
    }

    /** For scripts a message of the API's a line. */
    private void line(String text, TraceMicroVmResponse message) {
      environment
          .out()
          .println(
              switch (format) {
                case TABLE -> text;
                case JSON -> OutputOptions.jsonLine(message);
              });
    }
  }
}

package dev.vireo.cli.demo;

import com.google.protobuf.ByteString;
import dev.vireo.cli.Api;
import dev.vireo.cli.CommandException;
import dev.vireo.cli.Deletion;
import dev.vireo.cli.Environment;
import dev.vireo.cli.ExitCode;
import dev.vireo.cli.LogReader;
import dev.vireo.proto.v1.CreateMicroVmRequest;
import dev.vireo.proto.v1.InspectMicroVmRequest;
import dev.vireo.proto.v1.Inspection;
import dev.vireo.proto.v1.LogSource;
import dev.vireo.proto.v1.MicroVm;
import dev.vireo.proto.v1.MicroVmSpec;
import io.grpc.Context;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.UUID;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;

/** One microVM: created through the API, its console shown, looked into, deleted. */
final class DemoGuest {
  private static final Duration DELETE_TIMEOUT = Duration.ofSeconds(30);

  private final Api api;
  private final PrintStream out;
  private final PrintStream err;

  DemoGuest(Api api, Environment environment) {
    this.api = api;
    this.out = environment.out();
    this.err = environment.err();
  }

  /** Shows the console until a line contains {@code lastWords}, then has a look inside. */
  Inspection show(String id, MicroVmSpec spec, String lastWords, Duration timeout) {
    String name = create(id, spec, timeout);
    showConsole(name, lastWords, timeout);
    Inspection inspection = inspect(name);
    new Deletion(api).enforce(name, DELETE_TIMEOUT);
    return inspection;
  }

  /** From before the create call on; only for guests on this machine, whose clock is ours. */
  long nanosToFirstInstruction(String id, MicroVmSpec spec) {
    // CLOCK_MONOTONIC, as BootTimings are.
    long start = System.nanoTime();
    String name = create(id, spec, DELETE_TIMEOUT);
    long firstExit = inspect(name).getTimings().getFirstExitNs();
    new Deletion(api).enforce(name, DELETE_TIMEOUT);
    return firstExit - start;
  }

  private String create(String id, MicroVmSpec spec, Duration timeout) {
    return api.microVms(timeout)
        .createMicroVm(
            CreateMicroVmRequest.newBuilder()
                .setParent(api.parent())
                .setMicrovmId(id)
                .setRequestId(UUID.randomUUID().toString())
                .setMicrovm(MicroVm.newBuilder().setSpec(spec))
                .setWait(CreateMicroVmRequest.Wait.WAIT_RUNNING)
                .build())
        .getMeta()
        .getName();
  }

  private Inspection inspect(String name) {
    return api.microVms()
        .inspectMicroVm(InspectMicroVmRequest.newBuilder().setName(name).build())
        .getInspection();
  }

  private void showConsole(String name, String lastWords, Duration timeout) {
    try (ScheduledExecutorService timer = Executors.newSingleThreadScheduledExecutor();
        Context.CancellableContext attention =
            Context.current().withDeadlineAfter(timeout.toMillis(), TimeUnit.MILLISECONDS, timer)) {
      Lines lines = new Lines(lastWords, attention);
      attention.run(() ->
          follow(
              new LogReader(
                  api,
                  name,
                  LogSource.LOG_SOURCE_CONSOLE,
                  0,
                  chunk -> lines.accept(chunk.getData()),
                  err)));
      if (!lines.ended) {
        throw new CommandException(
            ExitCode.FAILED,
            "the guest did not say '%s' within %d s".formatted(lastWords, timeout.toSeconds()),
            "");
      }
    }
  }

  private static void follow(LogReader console) {
    try {
      console.follow();
    } catch (StatusRuntimeException e) {
      Status.Code code = e.getStatus().getCode();
      if (code != Status.Code.CANCELLED && code != Status.Code.DEADLINE_EXCEEDED) {
        throw e;
      }
    }
  }

  /** Puts bytes together to lines and prints each, until the last one. */
  private final class Lines implements Consumer<ByteString> {
    private final String lastWords;
    private final Context.CancellableContext attention;
    private ByteString pending = ByteString.EMPTY;
    private boolean ended;

    Lines(String lastWords, Context.CancellableContext attention) {
      this.lastWords = lastWords;
      this.attention = attention;
    }

    @Override
    public void accept(ByteString bytes) {
      pending = pending.concat(bytes);
      for (int end = indexOfNewline(); end >= 0 && !ended; end = indexOfNewline()) {
        String line = pending.substring(0, end).toString(StandardCharsets.UTF_8);
        pending = pending.substring(end + 1);
        out.println("  | " + line.replaceAll("\\p{Cntrl}", ""));
        out.flush();
        if (line.contains(lastWords)) {
          ended = true;
          attention.cancel(null);
        }
      }
    }

    private int indexOfNewline() {
      for (int i = 0; i < pending.size(); i++) {
        if (pending.byteAt(i) == '\n') {
          return i;
        }
      }
      return -1;
    }
  }
}

package dev.vireo.cli.demo;

import com.google.protobuf.ByteString;
import dev.vireo.cli.Api;
import dev.vireo.cli.CommandException;
import dev.vireo.cli.ConsoleReader;
import dev.vireo.cli.Deletion;
import dev.vireo.cli.ExitCode;
import dev.vireo.proto.v1.CreateMicroVmRequest;
import dev.vireo.proto.v1.InspectMicroVmRequest;
import dev.vireo.proto.v1.InspectMicroVmResponse;
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

  DemoGuest(Api api, PrintStream out, PrintStream err) {
    this.api = api;
    this.out = out;
    this.err = err;
  }

  /**
   * What is known of it at its last line.
   *
   * @param createCallNanos {@link System#nanoTime} before the create call: CLOCK_MONOTONIC, as
   *     {@code BootTimings}
   */
  record Story(InspectMicroVmResponse inspection, long createCallNanos) {}

  /** Shows the console until a line contains {@code lastWords}. */
  Story tell(String id, MicroVmSpec spec, String lastWords, Duration timeout) {
    String name = api.microVmName(id);
    long createCallNanos = System.nanoTime();
    MicroVm created =
        api.microVms(timeout)
            .createMicroVm(
                CreateMicroVmRequest.newBuilder()
                    .setParent(api.parent())
                    .setMicrovmId(id)
                    .setRequestId(UUID.randomUUID().toString())
                    .setMicrovm(MicroVm.newBuilder().setSpec(spec))
                    .setWait(CreateMicroVmRequest.Wait.WAIT_RUNNING)
                    .build());
    showConsole(created.getMeta().getName(), lastWords, timeout);
    Story story =
        new Story(
            api.microVms().inspectMicroVm(InspectMicroVmRequest.newBuilder().setName(name).build()),
            createCallNanos);
    new Deletion(api).enforce(name, DELETE_TIMEOUT);
    return story;
  }

  private void showConsole(String name, String lastWords, Duration timeout) {
    try (ScheduledExecutorService timer = Executors.newSingleThreadScheduledExecutor();
        Context.CancellableContext attention =
            Context.current().withDeadlineAfter(timeout.toMillis(), TimeUnit.MILLISECONDS, timer)) {
      Lines lines = new Lines(lastWords, attention);
      attention.run(() -> follow(new ConsoleReader(api, name, 0, lines, err)));
      if (!lines.ended) {
        throw new CommandException(
            ExitCode.FAILED,
            "the guest's console ended, or was silent too long, before '%s'".formatted(lastWords),
            "Its state: " + api.address());
      }
    }
  }

  private static void follow(ConsoleReader console) {
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

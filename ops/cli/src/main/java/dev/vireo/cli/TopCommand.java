package dev.vireo.cli;

import com.google.common.util.concurrent.ListenableFuture;
import com.google.gson.GsonBuilder;
import dev.vireo.cli.TopView.Look;
import dev.vireo.proto.v1.InspectMicroVmRequest;
import dev.vireo.proto.v1.InspectMicroVmResponse;
import dev.vireo.proto.v1.MicroVm;
import dev.vireo.proto.v1.MicroVmState;
import dev.vireo.proto.v1.Node;
import io.grpc.StatusRuntimeException;
import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** {@code vireo top}. */
@Command(
    name = "top",
    description = "Shows what nodes have promised, and what microVMs use, the busiest first.",
    footer = {
      "CPU is how many CPUs were busy with a microVM on average since the last look: its vCPUs, its",
      "devices and its VMM; a node's is the sum of its microVMs'. One that is new has none yet.",
      "MEMORY is the proportional set size of the VMM, of which the guest's touched memory is a part;",
      "I/O are requests of all devices; EXITS are those to user space. Each running microVM is asked",
      "at each look, by way of its node."
    })
final class TopCommand implements Callable<Integer> {
  private static final Duration PATIENCE = Duration.ofSeconds(10);

  /** Asked at once. */
  private static final int CHUNK = 32;

  /** Moves to the top left and clears what is below (ECMA-48). */
  private static final String CLEAR = "\u001b[H\u001b[J";

  private final Environment environment;

  @Mixin private final ServerOptions server = new ServerOptions();

  @Option(names = "--once", description = "One look, as long as the interval, and the end.")
  private boolean once;

  @Option(
      names = "--interval",
      paramLabel = "TIME",
      converter = Converters.Time.class,
      description = "Between two looks. Default: ${DEFAULT-VALUE}.")
  private Duration interval = Duration.ofSeconds(2);

  @Option(
      names = "--rows",
      paramLabel = "N",
      description = "At most so many microVMs. Default: ${DEFAULT-VALUE}.")
  private int rows = 30;

  @Option(
      names = {"-o", "--output"},
      paramLabel = "FORMAT",
      defaultValue = "table",
      description =
          "${COMPLETION-CANDIDATES}: all rows; a line for each look, without --once. Default:"
              + " ${DEFAULT-VALUE}.")
  private TraceCommand.Format format = TraceCommand.Format.TABLE;

  TopCommand(Environment environment) {
    this.environment = environment;
  }

  @Override
  public Integer call() throws InterruptedException {
    try (Api api = server.connect(environment)) {
      Map<String, Look> before = byUid(look(api));
      long at = System.nanoTime();
      do {
        Thread.sleep(interval);
        List<Look> after = look(api);
        long now = System.nanoTime();
        show(api, before, after, Duration.ofNanos(now - at));
        before = byUid(after);
        at = now;
      } while (!once && !environment.out().checkError());
      return environment.out().checkError() ? ExitCode.BROKEN_PIPE : ExitCode.OK;
    }
  }

  private void show(Api api, Map<String, Look> before, List<Look> after, Duration elapsed) {
    TopView view = TopView.between(before, after, elapsed);
    environment
        .out()
        .print(
            switch (format) {
              case TABLE -> table(api.listNodes(), view);
              case JSON -> json(api.listNodes(), view) + System.lineSeparator();
            });
    environment.out().flush();
  }

  /** In one piece, so that a terminal does not flicker. */
  private String table(List<Node> nodes, TopView view) {
    ByteArrayOutputStream screen = new ByteArrayOutputStream();
    PrintStream out = new PrintStream(screen, true, StandardCharsets.UTF_8);
    if (!once && environment.terminal()) {
      out.print(CLEAR);
    }
    NodeView.printTop(nodes, view, out);
    out.println();
    view.print(rows, out);
    return screen.toString(StandardCharsets.UTF_8);
  }

  private String json(List<Node> nodes, TopView view) {
    GsonBuilder gson = new GsonBuilder().serializeNulls();
    return (once ? gson.setPrettyPrinting() : gson).create().toJson(view.json(nodes));
  }

  private static Map<String, Look> byUid(List<Look> looks) {
    Map<String, Look> byUid = new HashMap<>();
    looks.forEach(look -> byUid.put(TopView.uid(look.microVm()), look));
    return byUid;
  }

  private static List<Look> look(Api api) throws InterruptedException {
    List<MicroVm> running =
        api.listMicroVms("").getMicrovmsList().stream()
            .filter(microVm ->
                microVm.getStatus().getState() == MicroVmState.RUNNING
                    || microVm.getStatus().getState() == MicroVmState.PAUSED)
            .toList();
    List<Look> looks = new ArrayList<>();
    for (int i = 0; i < running.size(); i += CHUNK) {
      List<ListenableFuture<InspectMicroVmResponse>> answers =
          running.subList(i, Math.min(running.size(), i + CHUNK)).stream()
              .map(microVm ->
                  api.microVmFutures(PATIENCE)
                      .inspectMicroVm(
                          InspectMicroVmRequest.newBuilder()
                              .setName(microVm.getMeta().getName())
                              .build()))
              .toList();
      for (ListenableFuture<InspectMicroVmResponse> answer : answers) {
        add(answer, looks);
      }
    }
    return looks;
  }

  /** One that has ended meanwhile, or whose node does not answer, is left out. */
  private static void add(ListenableFuture<InspectMicroVmResponse> answer, List<Look> looks)
      throws InterruptedException {
    try {
      looks.add(new Look(answer.get().getMicrovm(), answer.get().getInspection()));
    } catch (ExecutionException e) {
      if (!(e.getCause() instanceof StatusRuntimeException)) {
        throw new IllegalStateException(e.getCause());
      }
    }
  }
}

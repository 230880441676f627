package dev.vireo.cli;

import dev.vireo.proto.v1.WatchEventType;
import dev.vireo.proto.v1.WatchMicroVmsResponse;
import java.time.ZoneId;
import java.time.format.DateTimeFormatter;
import java.util.Locale;
import java.util.concurrent.Callable;
import java.util.function.Predicate;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** {@code vireo watch}. */
@Command(
    name = "watch",
    description = "Prints what exists, then every change, a line each, until Ctrl-C.")
final class WatchCommand implements Callable<Integer> {
  private final Environment environment;

  @Mixin private final ServerOptions server = new ServerOptions();
  @Mixin private final OutputOptions output = new OutputOptions();

  @Parameters(
      arity = "0..1",
      paramLabel = "NAME",
      description = "Only this one; ends once it is deleted.")
  private @Nullable String name;

  @Option(
      names = {"-l", "--selector"},
      paramLabel = "KEY=VALUE[,…]",
      description = "Only those with these labels.")
  private String selector = "";

  WatchCommand(Environment environment) {
    this.environment = environment;
  }

  @Override
  public Integer call() {
    try (Api api = server.connect(environment)) {
      EventPrinter printer = new EventPrinter(environment, output.format());
      new MicroVmWatch(api, selector, environment.err())
          .follow(0, name == null ? printer : only(api.microVmName(name), printer));
      return environment.out().checkError() ? ExitCode.BROKEN_PIPE : ExitCode.OK;
    }
  }

  private static Predicate<WatchMicroVmsResponse> only(String name, EventPrinter printer) {
    return event ->
        !event.getMicrovm().getMeta().getName().equals(name)
            || (printer.test(event) && event.getType() != WatchEventType.DELETED);
  }

  /** A line for each event, for as long as somebody reads it. */
  static final class EventPrinter implements Predicate<WatchMicroVmsResponse> {
    private static final DateTimeFormatter TIME =
        DateTimeFormatter.ofPattern("HH:mm:ss", Locale.ROOT).withZone(ZoneId.systemDefault());

    private final Environment environment;
    private final OutputOptions.Format format;
    private final MicroVmView view;

    EventPrinter(Environment environment, OutputOptions.Format format) {
      this.environment = environment;
      this.format = format;
      this.view = new MicroVmView(environment.clock());
    }

    @Override
    public boolean test(WatchMicroVmsResponse event) {
      environment
          .out()
          .println(
              switch (format) {
                case JSON -> OutputOptions.jsonLine(event);
                case NAME -> event.getMicrovm().getMeta().getName();
                case TABLE, WIDE ->
                    "%s  %-8s  %s"
                        .formatted(
                            TIME.format(environment.clock().instant()),
                            Text.lower(event.getType()),
                            view.line(event.getMicrovm()));
              });
      return !environment.out().checkError(); // Flushes; and `| head` has had enough.
    }
  }
}

package dev.vireo.bench;

import dev.vireo.bench.cluster.Installation;
import dev.vireo.bench.control.ControlReport;
import dev.vireo.bench.control.ControlRun;
import dev.vireo.bench.placement.PlacementReport;
import dev.vireo.bench.placement.PlacementRun;
import dev.vireo.bench.sandbox.SandboxReport;
import dev.vireo.bench.sandbox.SandboxRun;
import dev.vireo.bench.store.StoreReport;
import dev.vireo.bench.store.StoreRun;
import java.util.Arrays;
import java.util.EnumSet;
import java.util.List;
import java.util.Set;
import java.util.logging.Level;
import java.util.logging.Logger;
import java.util.stream.Stream;

/**
 * {@code vireo bench [devices|sandbox|scheduler|store|control] [--quick|--smoke] [--only NAME] [-o
 * table|json]}.
 */
public final class Main {
  private static final int EXIT_FAILED = 1;
  private static final int EXIT_USAGE = 2;

  /**
   * gRPC's own log: standard error is for progress. Held here, for loggers are weakly referenced.
   */
  private static final Logger LIBRARIES = Logger.getLogger("io.grpc");

  private Main() {}

  /** What is measured. */
  private enum Subject {
    ALL,
    DEVICES,
    SANDBOX,
    SCHEDULER,
    STORE,
    CONTROL
  }

  /** Of which a part may be asked for. */
  private static final Set<Subject> PARTED =
      EnumSet.of(Subject.DEVICES, Subject.SANDBOX, Subject.CONTROL);

  /** What the command line asks for. */
  private record Options(Subject subject, boolean quick, boolean smoke, String only, boolean json) {
    static Options parse(List<String> line) {
      List<String> arguments = words(line);
      Subject subject = Subject.ALL;
      boolean quick = false;
      boolean smoke = false;
      String only = "";
      boolean json = false;
      for (int i = 0; i < arguments.size(); i++) {
        switch (arguments.get(i)) {
          case "devices" -> subject = Subject.DEVICES;
          case "sandbox" -> subject = Subject.SANDBOX;
          case "scheduler" -> subject = Subject.SCHEDULER;
          case "store" -> subject = Subject.STORE;
          case "control" -> subject = Subject.CONTROL;
          case "--quick" -> quick = true;
          case "--smoke" -> smoke = true;
          case "--only" -> only = argument(arguments, ++i);
          case "-ojson", "-o=json" -> json = true;
          case "-otable", "-o=table" -> json = false;
          case "-o", "--output" -> json = parseFormat(arguments, ++i);
          default ->
              throw new IllegalArgumentException("there is no '%s'".formatted(arguments.get(i)));
        }
      }
      if (smoke && subject != Subject.DEVICES) {
        throw new IllegalArgumentException("--smoke is one of 'devices'");
      }
      if (!only.isEmpty() && !PARTED.contains(subject)) {
        throw new IllegalArgumentException("--only is one of 'devices', 'sandbox' and 'control'");
      }
      return new Options(subject, quick, smoke, only, json);
    }

    private static String argument(List<String> arguments, int index) {
      if (index >= arguments.size()) {
        throw new IllegalArgumentException(arguments.getLast() + " of what?");
      }
      return arguments.get(index);
    }

    private static boolean parseFormat(List<String> arguments, int index) {
      String format = argument(arguments, index);
      if (!format.equals("json") && !format.equals("table")) {
        throw new IllegalArgumentException("-o takes table or json, not '" + format + "'");
      }
      return format.equals("json");
    }
  }

  /** With {@code --option=VALUE} as two words. */
  static List<String> words(List<String> line) {
    return line.stream()
        .flatMap(
            word -> word.startsWith("--") ? Arrays.stream(word.split("=", 2)) : Stream.of(word))
        .toList();
  }

  public static void main(String[] arguments) {
    LIBRARIES.setLevel(Level.WARNING);
    System.exit(run(List.of(arguments)));
  }

  private static int run(List<String> arguments) {
    Options options;
    try {
      options = Options.parse(arguments);
    } catch (IllegalArgumentException e) {
      System.err.println("error: " + e.getMessage());
      System.err.println("  remedy: see vireo bench --help");
      return EXIT_USAGE;
    }
    try {
      System.out.print(
          switch (options.subject()) {
            case ALL -> all(options);
            case DEVICES -> devices(options);
            case SANDBOX -> sandbox(options);
            case SCHEDULER -> scheduler(options);
            case STORE -> store(options);
            case CONTROL -> control(options);
          });
      return 0;
    } catch (Exception e) {
      System.err.println("vireo bench: " + e.getMessage());
      return EXIT_FAILED;
    }
  }

  private static String all(Options options) throws Exception {
    BenchPlan plan = options.quick() ? BenchPlan.QUICK : BenchPlan.FULL;
    BenchReport report = new BenchRun(plan, Installation.find(), System.err::println).run();
    return options.json() ? report.toJson() + "\n" : report.toTable();
  }

  private static String devices(Options options) throws Exception {
    DevicesPlan plan =
        options.smoke()
            ? DevicesPlan.SMOKE
            : options.quick() ? DevicesPlan.QUICK : DevicesPlan.FULL;
    DevicesReport report =
        new DevicesRun(plan.only(options.only()), Installation.find(), System.err::println).run();
    return options.json() ? report.toJson() + "\n" : report.toTable();
  }

  private static String sandbox(Options options) throws Exception {
    SandboxReport report =
        new SandboxRun(Installation.find(), options.quick(), options.only(), System.err::println)
            .run();
    return options.json() ? report.toJson() + "\n" : report.toTable();
  }

  private static String store(Options options) throws Exception {
    StoreReport report = new StoreRun(options.quick(), System.err::println).run();
    return options.json() ? report.toJson() + "\n" : report.toTable();
  }

  private static String control(Options options) throws Exception {
    ControlReport report =
        new ControlRun(Installation.find(), options.quick(), options.only(), System.err::println)
            .run();
    return options.json() ? report.toJson() + "\n" : report.toTable();
  }

  private static String scheduler(Options options) throws Exception {
    PlacementReport report = PlacementRun.run(options.quick(), System.err::println);
    return options.json() ? report.toJson() + "\n" : report.toTable();
  }
}

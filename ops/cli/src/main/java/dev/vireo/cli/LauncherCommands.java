package dev.vireo.cli;

import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/**
 * Commands that the launcher, {@code ./vireo}, carries out itself, since they are other programs.
 * They are declared here for help and completion, which the launcher leaves to this one.
 */
@SuppressWarnings("UnusedVariable") // Options that only the programs behind the launcher read.
final class LauncherCommands {
  static final String CONTAINER_CACHE =
      "The cache of container images. Default: $VIREO_CACHE_DIR/images-oci, else"
          + " ~/.cache/vireo/images-oci; for an architecture that is not this machine's,"
          + " images-oci-ARCH beside that.";

  private LauncherCommands() {}

  /** All of them. */
  static List<CommandLine> all(Environment environment) {
    return List.of(
        new CommandLine(new Doctor()),
        new CommandLine(new Bench())
            .addSubcommand(new Bench.Devices())
            .addSubcommand(new Bench.Sandbox())
            .addSubcommand(new Bench.Placements())
            .addSubcommand(new Bench.Stores())
            .addSubcommand(new Bench.Control()),
        new CommandLine(new Test()),
        new CommandLine(new Sim()),
        new CommandLine(new Fuzz()),
        new CommandLine(new Image())
            .addSubcommand(new Image.Build())
            .addSubcommand(new Image.Pull())
            .addSubcommand(new ImageCommands.Load(environment))
            .addSubcommand(new ImageCommands.ListImages(environment))
            .addSubcommand(new ImageCommands.Remove(environment))
            .addSubcommand(new Image.Prune()),
        new CommandLine(new Kernel())
            .addSubcommand(new Kernel.Build())
            .addSubcommand(new Kernel.ListKernels()));
  }

  /** Reached only when this program is started by something else than the launcher. */
  private abstract static class LauncherCommand implements Callable<Integer> {
    @Spec private @Nullable CommandSpec spec;

    @Override
    public final Integer call() {
      throw notHere(java.util.Objects.requireNonNull(spec));
    }
  }

  /** What this program answers to what another does. */
  static CommandException notHere(CommandSpec spec) {
    String command = spec.qualifiedName();
    return new CommandException(
        ExitCode.FAILED,
        "'%s' is a command of the launcher's".formatted(command),
        "Run ./%s in the source tree.".formatted(command));
  }

  /** {@code vireo doctor}. */
  @Command(
      name = "doctor",
      description = {
        "Tells what this machine can do, and what to do about what it cannot.",
        "",
        "It looks at KVM and its vendor module, tun, vhost, cgroups, memory, and the programs that"
            + " Vireo calls, and says which back ends and test tiers follow. Ends with 0 if guests"
            + " can run here, with 7 if none can."
      })
  private static final class Doctor extends LauncherCommand {
    @Option(
        names = {"-o", "--output"},
        paramLabel = "FORMAT",
        description = "text, json. Default: text.")
    private @Nullable String format;
  }

  /** {@code vireo bench}. */
  @Command(
      name = "bench",
      description = {
        "Measures Vireo on this machine, beside QEMU's microvm with the same guest.",
        "",
        "In one run, with a controller and a worker of its own: from a create call to the guest's"
            + " first instruction; memory of idle VMMs; virtio-blk reads and exits per I/O;"
            + " creates per second."
      })
  private static final class Bench extends LauncherCommand {
    @Option(names = "--quick", description = "Fewer samples: about a minute.")
    private boolean quick;

    @Option(
        names = {"-o", "--output"},
        paramLabel = "FORMAT",
        description = "table, json. Default: table.")
    private @Nullable String format;

    /** {@code vireo bench devices}. */
    @Command(
        name = "devices",
        description = {
          "Measures each device beside QEMU microvm's, with the same guest.",
          "",
          "In one run, machines in turn: block reads and writes by depth, network packets by size,"
              + " vsock round trips; exits, interrupts and CPU time of each; the modes of the"
              + " register page; memory of idle VMMs with all devices. In a network namespace"
              + " of its own."
        })
    private static final class Devices extends LauncherCommand {
      @Option(names = "--quick", description = "Fewer and shorter rounds.")
      private boolean quick;

      @Option(
          names = "--smoke",
          description = "One short round, to see that all of it runs. Its numbers mean nothing.")
      private boolean smoke;

      @Option(
          names = "--only",
          paramLabel = "NAME",
          description =
              "Only what is named so or begins so, as in JSON: blk_4k_read.depth1, blk, net, vsock,"
                  + " idle.")
      private @Nullable String only;

      @Option(
          names = {"-o", "--output"},
          paramLabel = "FORMAT",
          description = "table, json. Default: table.")
      private @Nullable String format;
    }

    /** {@code vireo bench sandbox}. */
    @Command(
        name = "sandbox",
        description = {
          "Measures what it costs to run code in a guest, and to speak with it.",
          "",
          "From run to the first byte of output; exec beside ssh into the same guest, and into a"
              + " bare-metal guest; vsock and network throughput, beside QEMU microvm's; root file"
              + " systems as squashfs, erofs and ext4. Linux guests are measured on an emulated node"
              + " where this machine cannot run them; then only ratios mean anything."
        })
    private static final class Sandbox extends LauncherCommand {
      @Option(names = "--quick", description = "Fewer samples.")
      private boolean quick;

      @Option(
          names = "--only",
          paramLabel = "NAME",
          description =
              "Only what is named so or begins so: run, probe_exec, exec_ssh, vsock, net,"
                  + " root_formats.")
      private @Nullable String only;

      @Option(
          names = {"-o", "--output"},
          paramLabel = "FORMAT",
          description = "table, json. Default: table.")
      private @Nullable String format;
    }

    /** {@code vireo bench store}. */
    @Command(
        name = "store",
        description = {
          "Measures what SQLite and etcd commit: one by one, and with 64 on their way.",
          "",
          "No controller: the stores alone, in turn, on one disk, beside what that disk can do."
        })
    private static final class Stores extends LauncherCommand {
      @Option(names = "--quick", description = "One short round.")
      private boolean quick;

      @Option(
          names = {"-o", "--output"},
          paramLabel = "FORMAT",
          description = "table, json. Default: table.")
      private @Nullable String format;
    }

    /** {@code vireo bench control}. */
    @Command(
        name = "control",
        description = {
          "Measures the control plane: creates a second on SQLite and on etcd, beside what these"
              + " stores do alone; 1,000 clients that watch; memory of microVMs; and, with three"
              + " controllers and three etcd members, how soon after kill -9 of one of them the next"
              + " create is answered.",
          "",
          "Controllers of its own, and workers that say of everything at once that it runs."
        })
    private static final class Control extends LauncherCommand {
      @Option(names = "--quick", description = "Shorter rounds: about a minute.")
      private boolean quick;

      @Option(
          names = "--only",
          paramLabel = "NAME",
          description = "Only sqlite, etcd or failover, or what begins so.")
      private @Nullable String only;

      @Option(
          names = {"-o", "--output"},
          paramLabel = "FORMAT",
          description = "table, json. Default: table.")
      private @Nullable String format;
    }

    /** {@code vireo bench scheduler}. */
    @Command(
        name = "scheduler",
        description = {
          "Measures decisions of the scheduler: a second and at worst, by nodes and by how full"
              + " they are.",
          "",
          "No controller, no node: the decision alone, in a JVM of its own (JMH)."
        })
    private static final class Placements extends LauncherCommand {
      @Option(names = "--quick", description = "Fewer and shorter rounds.")
      private boolean quick;

      @Option(
          names = {"-o", "--output"},
          paramLabel = "FORMAT",
          description = "table, json. Default: table.")
      private @Nullable String format;
    }
  }

  /** {@code vireo test}. */
  @Command(
      name = "test",
      description = {
        "Builds everything and runs the tests: all tiers, or those named.",
        "",
        "  unit   needs nothing",
        "  sim    a fixed set of seeds of vireo sim; needs nothing",
        "  kvm    bare-metal guests on /dev/kvm",
        "  fault  kill -9 of controller, worker and VMM; needs /dev/kvm",
        "  fuzz   a minute of what vireo fuzz does; needs nothing",
        "  linux  Debian guests on an emulated node; needs QEMU",
        "",
        "A machine without KVM runs tier kvm in an emulated node. A tier that this machine cannot run"
            + " is named, and its tests count as skipped. The last"
            + " line counts what passed, failed and was skipped. Ends with 0 only if none failed."
      })
  private static final class Test extends LauncherCommand {
    @Option(
        names = "--full",
        description =
            "Tier linux moves gigabytes through the devices and opens thousands of connections:"
                + " hours on an emulated node.")
    private boolean full;

    @Parameters(arity = "0..*", paramLabel = "TIER", description = "Default: all.")
    private List<String> tiers = List.of();
  }

  /** {@code vireo sim}. */
  @Command(
      name = "sim",
      description = {
        "Runs the control plane in a simulated world where everything fails, seed by seed.",
        "",
        "Controller and workers are the real ones; clocks, connections, the store's disk and VMMs"
            + " are simulated. Processes are killed, power fails, connections break, disks are full"
            + " while clients create, steer and delete; what they were promised is looked at after"
            + " each step. A seed replays exactly. Ends with 0 only if every seed held."
      })
  private static final class Sim extends LauncherCommand {
    @Option(names = "--seeds", paramLabel = "N", description = "How many. Default: 100.")
    private long seeds;

    @Option(names = "--first-seed", paramLabel = "S", description = "Default: 1.")
    private long firstSeed;

    @Option(names = "--trace", description = "Print all that happens.")
    private boolean trace;
  }

  /** {@code vireo fuzz}. */
  @Command(
      name = "fuzz",
      description = {
        "Lets hostile guests, made up by a fuzzer, loose on the device models.",
        "",
        "Goes on from what earlier runs have learned, which is kept in .fuzz in the source tree,"
            + " with what was found. Ends with 0 if nothing was, with 3 if this host can run none"
            + " of the targets."
      })
  private static final class Fuzz extends LauncherCommand {
    @Option(
        names = "--target",
        paramLabel = "DEVICE",
        description =
            "block, block-io-uring, entropy, balloon, power-button, net, vsock, memory, console;"
                + " may be repeated. Default: all.")
    private List<String> targets = List.of();

    @Option(
        names = "--seconds",
        paramLabel = "N",
        description = "In all, shared by the targets. Default: 60.")
    private int seconds;

    @Option(
        names = "--racing",
        description = "Change rings while the device reads them: finds more, repeats less.")
    private boolean racing;

    @Option(
        names = "--replay",
        paramLabel = "FILE",
        description = "Only run this input once more against the one target named.")
    private @Nullable String replay;
  }

  /** {@code vireo image}. */
  @Command(
      name = "image",
      synopsisSubcommandLabel = "COMMAND",
      description = "Guest images of this machine, and container images here and on nodes.")
  private static final class Image {
    /** {@code vireo image build}. */
    @Command(
        name = "build",
        description = {
          "Builds an image unless it is there already, and prints its directory.",
          "",
          "  debian-12  Debian's cloud kernel and a small root disk, from Debian's packages",
          "  vireo-6.1  our own small kernel and the same disk: see vireo kernel build",
          "  debian-12-tools  as debian-12, with fio, iperf3 and socat, for tests",
          "  probe      a bare-metal guest of our own, for tests and benchmarks"
        })
    private static final class Build extends LauncherCommand {
      @Parameters(paramLabel = "IMAGE", description = "Its name.")
      private String name = "";

      @Option(
          names = "--arch",
          paramLabel = "ARCH",
          description = "x86_64 or arm64. Default: this machine's.")
      private @Nullable String architecture;

      @Option(
          names = "--dir",
          paramLabel = "DIRECTORY",
          description =
              "The image store. Default: $VIREO_CACHE_DIR/images, else ~/.cache/vireo/images; for an"
                  + " architecture that is not this machine's, images-ARCH beside that.")
      private @Nullable Path store;
    }

    /** {@code vireo image pull}. */
    @Command(
        name = "pull",
        description = {
          "Makes a root file system of a container image, unless it is there already.",
          "",
          "Digests are verified, layers merged into one squashfs, which all microVMs of the node"
              + " share. What cannot be pulled leaves nothing. Prints the image's ID."
        })
    private static final class Pull extends LauncherCommand {
      @Parameters(
          paramLabel = "SOURCE",
          description =
              "A name, as docker takes it, which is pulled from its registry, with what docker login"
                  + " has noted; busybox, an image of Vireo's own, without a registry;"
                  + " oci:DIRECTORY or oci-archive:FILE, an OCI layout; docker-archive:FILE, of docker"
                  + " save. Of several images in a file one is chosen by :IMAGE behind it.")
      private String source = "";

      @Option(names = "--registry", description = "SOURCE is a name, also if it looks like a file.")
      private boolean registry;

      @Option(
          names = "--as",
          paramLabel = "NAME",
          description = "Its name here. Default: as the source calls it.")
      private @Nullable String name;

      @Option(
          names = "--arch",
          paramLabel = "ARCH",
          description = "x86_64 or arm64. Default: this machine's.")
      private @Nullable String architecture;

      @Option(
          names = "--progress",
          paramLabel = "FORM",
          description =
              "auto, json, none: on stderr a bar, or a line now and then; or JSON lines on stdout."
                  + " Default: auto.")
      private @Nullable String progress;

      @Option(names = "--container-dir", paramLabel = "DIRECTORY", description = CONTAINER_CACHE)
      private @Nullable Path containers;
    }

    /** {@code vireo image prune}. */
    @Command(
        name = "prune",
        description = {
          "Removes container images that are not in use: those without a name, or more.",
          "",
          "Also what killed pulls have left. Prints the IDs of what it removes."
        })
    private static final class Prune extends LauncherCommand {
      @Option(
          names = "--keep-free",
          paramLabel = "SIZE",
          description =
              "Also those that were not used for the longest, until so much of the disk is free, for"
                  + " example 2G. Ends with 1 if that cannot be.")
      private @Nullable String floor;

      @Option(names = "--all", description = "All that are not in use.")
      private boolean all;

      @Option(
          names = "--arch",
          paramLabel = "ARCH",
          description = "x86_64 or arm64. Default: this machine's.")
      private @Nullable String architecture;

      @Option(names = "--container-dir", paramLabel = "DIRECTORY", description = CONTAINER_CACHE)
      private @Nullable Path containers;
    }
  }

  /** {@code vireo kernel}. */
  @Command(
      name = "kernel",
      synopsisSubcommandLabel = "COMMAND",
      description = "Builds and lists our own small kernel for guests.")
  private static final class Kernel {
    /** {@code vireo kernel build}. */
    @Command(
        name = "build",
        description = {
          "Compiles the kernel, unless that is done, and makes the image vireo-6.1 of it.",
          "",
          "From Debian's source of Linux 6.1 with the configuration in ops/guest/kernel: what a"
              + " sandbox needs, built in. It takes up to half an hour of a processor, once for each"
              + " version of the source and of the configuration. Prints the image's directory."
        })
    private static final class Build extends LauncherCommand {
      @Option(
          names = "--arch",
          paramLabel = "ARCH",
          description = "x86_64 or arm64. Default: this machine's.")
      private @Nullable String architecture;

      @Option(
          names = "--dir",
          paramLabel = "DIRECTORY",
          description = "The image store. Default: as for vireo image build.")
      private @Nullable Path store;
    }

    /** {@code vireo kernel list}. */
    @Command(
        name = "list",
        description =
            "Lists the kernels that have been compiled, and whether their configuration is today's.")
    private static final class ListKernels extends LauncherCommand {
      @Option(
          names = {"-o", "--output"},
          paramLabel = "FORMAT",
          description = "table, json. Default: table.")
      private @Nullable String format;
    }
  }
}

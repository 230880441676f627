package dev.vireo.cli;

import dev.vireo.proto.v1.GetQuotaRequest;
import dev.vireo.proto.v1.Quota;
import dev.vireo.proto.v1.QuotaSpec;
import dev.vireo.proto.v1.SetQuotaRequest;
import java.io.PrintStream;
import java.util.concurrent.Callable;
import java.util.function.LongFunction;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** {@code vireo quota}: how much of the cluster a project may have. */
@Command(
    name = "quota",
    synopsisSubcommandLabel = "COMMAND",
    description = "Shows and sets how much of the cluster a project may have.")
final class QuotaCommand {
  /** {@code vireo quota get}. */
  @Command(name = "get", description = "Shows what a project has, and may have.")
  static final class GetQuota implements Callable<Integer> {
    private final Environment environment;

    @Mixin private final ServerOptions server = new ServerOptions();
    @Mixin private final OutputOptions output = new OutputOptions();

    GetQuota(Environment environment) {
      this.environment = environment;
    }

    @Override
    public Integer call() {
      try (Api api = server.connect(environment)) {
        print(
            api.quotas().getQuota(GetQuotaRequest.newBuilder().setName(name(api)).build()),
            output,
            environment);
        return ExitCode.OK;
      }
    }
  }

  /** {@code vireo quota set}. */
  @Command(
      name = "set",
      description = "Sets a project's limits, all of them: what is not given is not limited.",
      footer = "What the project has already stays, also if it is more.")
  static final class SetQuota implements Callable<Integer> {
    private final Environment environment;

    @Mixin private final ServerOptions server = new ServerOptions();
    @Mixin private final OutputOptions output = new OutputOptions();

    @Option(
        names = "--microvms",
        paramLabel = "COUNT",
        description = "MicroVMs that exist, whatever their state.")
    private @Nullable Integer microVms;

    @Option(names = "--vcpus", paramLabel = "COUNT", description = "Their vCPUs.")
    private @Nullable Long vcpus;

    @Option(
        names = "--memory",
        paramLabel = "SIZE",
        converter = Converters.Memory.class,
        description = "Their memory, with what can be plugged: MiB, or with a unit: 512M, 2G.")
    private @Nullable Long memoryMib;

    SetQuota(Environment environment) {
      this.environment = environment;
    }

    @Override
    public Integer call() {
      QuotaSpec.Builder limits = QuotaSpec.newBuilder();
      if (microVms != null) {
        limits.setMicrovms(microVms);
      }
      if (vcpus != null) {
        limits.setVcpus(vcpus);
      }
      if (memoryMib != null) {
        limits.setMemoryMib(memoryMib);
      }
      try (Api api = server.connect(environment)) {
        Quota.Builder quota = Quota.newBuilder().setSpec(limits);
        quota.getMetaBuilder().setName(name(api));
        print(
            api.quotas().setQuota(SetQuotaRequest.newBuilder().setQuota(quota).build()),
            output,
            environment);
        return ExitCode.OK;
      }
    }
  }

  private static String name(Api api) {
    return api.parent() + "/quota";
  }

  private static void print(Quota quota, OutputOptions output, Environment environment) {
    PrintStream out = environment.out();
    switch (output.format()) {
      case JSON -> out.println(OutputOptions.json(quota));
      case NAME -> out.println(quota.getMeta().getName());
      case TABLE, WIDE -> {
        QuotaSpec limits = quota.getSpec();
        new Table("", "USED", "LIMIT")
            .add(
                "microVMs",
                quota.getStatus().getMicrovms(),
                limit(limits.hasMicrovms(), limits.getMicrovms(), Long::toString))
            .add(
                "vCPUs",
                quota.getStatus().getVcpus(),
                limit(limits.hasVcpus(), limits.getVcpus(), Long::toString))
            .add(
                "memory",
                Text.mebibytes(quota.getStatus().getMemoryMib()),
                limit(limits.hasMemoryMib(), limits.getMemoryMib(), Text::mebibytes))
            .print(out);
      }
    }
  }

  private static String limit(boolean isSet, long limit, LongFunction<String> text) {
    return isSet ? text.apply(limit) : "none";
  }
}

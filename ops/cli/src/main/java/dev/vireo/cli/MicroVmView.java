package dev.vireo.cli;

import dev.vireo.proto.v1.Boot;
import dev.vireo.proto.v1.Condition;
import dev.vireo.proto.v1.ConsolePort;
import dev.vireo.proto.v1.Disk;
import dev.vireo.proto.v1.Lifecycle;
import dev.vireo.proto.v1.Limits;
import dev.vireo.proto.v1.MicroVm;
import dev.vireo.proto.v1.MicroVmSpec;
import dev.vireo.proto.v1.MicroVmState;
import dev.vireo.proto.v1.MicroVmStatus;
import dev.vireo.proto.v1.Termination;
import java.io.PrintStream;
import java.math.BigDecimal;
import java.time.Clock;
import java.time.Instant;
import java.util.List;
import java.util.Optional;

/** A microVM in words: a row of a list, a line of a watch, a page of its own. */
public final class MicroVmView {
  private final Clock clock;

  public MicroVmView(Clock clock) {
    this.clock = clock;
  }

  /** {@code list}. */
  public void printList(List<MicroVm> microVms, boolean wide, PrintStream out) {
    Instant now = clock.instant();
    Table table =
        wide
            ? new Table(
                "NAME",
                "STATE",
                "READY",
                "NODE",
                "KERNEL",
                "CPU",
                "MEMORY",
                "AGE",
                "RESTARTS",
                "ATTEMPT",
                "LABELS",
                "UID",
                "REASON")
            : new Table(
                "NAME", "STATE", "READY", "NODE", "KERNEL", "CPU", "MEMORY", "AGE", "REASON");
    for (MicroVm vm : microVms) {
      MicroVmSpec spec = vm.getSpec();
      MicroVmStatus status = vm.getStatus();
      Object[] common = {
        Api.id(vm),
        status.getState(),
        isReady(vm) ? "yes" : "no",
        Text.orDash(Api.id(status.getNode())),
        Text.orDash(spec.getBoot().getKernel()),
        spec.getVcpus(),
        memory(spec),
        Text.age(vm.getMeta().getCreateTime(), now)
      };
      Object[] rest =
          wide
              ? new Object[] {
                status.getRestarts(),
                status.getAttempt(),
                Text.labels(vm.getMeta().getLabelsMap()),
                vm.getMeta().getUid(),
                reason(vm)
              }
              : new Object[] {reason(vm)};
      table.add(concat(common, rest));
    }
    table.print(out);
  }

  /** What it was run with, and what is to be plugged besides. */
  private static String memory(MicroVmSpec spec) {
    long plugged = spec.getMemoryHotplug().getSizeMib();
    String own = Text.mebibytes(spec.getMemoryMib());
    return plugged == 0 ? own : own + " + " + Text.mebibytes(plugged);
  }

  /** {@code get}. */
  public void printPage(MicroVm vm, PrintStream out) {
    Instant now = clock.instant();
    MicroVmSpec spec = vm.getSpec();
    MicroVmStatus status = vm.getStatus();
    field(out, "name", vm.getMeta().getName());
    field(out, "uid", vm.getMeta().getUid());
    field(out, "state", status.getState() + suffix(" ", reason(vm)));
    field(
        out,
        "node",
        "%s (attempt %d, %d restarts)"
            .formatted(
                Text.orDash(Api.id(status.getNode())), status.getAttempt(), status.getRestarts()));
    field(
        out,
        "created",
        Text.age(vm.getMeta().getCreateTime(), now)
            + " ago, generation "
            + vm.getMeta().getGeneration());
    if (status.hasStartTime()) {
      field(out, "started", Text.age(status.getStartTime(), now) + " ago");
    }
    field(out, "labels", Text.labels(vm.getMeta().getLabelsMap()));
    field(
        out,
        "machine",
        "%s, %d vCPU, %s"
            .formatted(Text.lower(spec.getArchitecture()), spec.getVcpus(), memory(spec)));
    if (spec.hasLimits()) {
      field(out, "limits", limits(spec.getLimits()));
    }
    field(out, "boot", boot(spec.getBoot()));
    for (Disk disk : spec.getDisksList()) {
      field(out, "disk", disk(disk));
    }
    NetworkView.print(vm, (name, value) -> field(out, name, value));
    if (status.hasVsock()) {
      field(
          out,
          "vsock",
          "CID %s, %s"
              .formatted(
                  Integer.toUnsignedString(status.getVsock().getCid()),
                  status.getVsock().getSocket()));
    }
    if (spec.hasEntropy()) {
      field(out, "entropy", "of the node's kernel");
    }
    for (int i = 0; i < spec.getVirtioConsole().getPortsCount(); i++) {
      String socket =
          i < status.getConsolePortsCount() ? status.getConsolePorts(i).getSocket() : "";
      ConsolePort port = spec.getVirtioConsole().getPorts(i);
      field(out, port.getConsole() ? "console" : "pipe", port(port) + suffix(", ", socket));
    }
    if (!spec.getPlacement().getNodeSelectorMap().isEmpty()) {
      field(out, "placement", Text.labels(spec.getPlacement().getNodeSelectorMap()));
    }
    field(out, "lifecycle", lifecycle(spec.getLifecycle()));
    printConditions(status.getConditionsList(), now, out);
  }

  private static String disk(Disk disk) {
    return disk.getId()
        + " from "
        + disk.getSource()
        + (disk.getReadOnly() ? ", read-only" : "")
        + (disk.getDirect() ? ", direct" : "")
        + (disk.getQueues() > 1 ? ", %d queues".formatted(disk.getQueues()) : "")
        + (disk.hasRateLimit() ? ", limited" : "");
  }

  private static String port(ConsolePort port) {
    return port.hasSize()
        ? "%s of %dx%d"
            .formatted(port.getName(), port.getSize().getColumns(), port.getSize().getRows())
        : port.getName();
  }

  private static void printConditions(List<Condition> conditions, Instant now, PrintStream out) {
    if (conditions.isEmpty()) {
      return;
    }
    out.println();
    Table table = new Table("CONDITION", "STATUS", "SINCE", "REASON", "MESSAGE");
    for (Condition condition : conditions) {
      table.add(
          condition.getType(),
          Text.lower(condition.getStatus()),
          Text.age(condition.getLastTransitionTime(), now),
          Text.orDash(condition.getReason()),
          condition.getMessage());
    }
    table.print(out);
  }

  /** One line that says where the microVM stands, for streams of changes. */
  public String line(MicroVm vm) {
    MicroVmStatus status = vm.getStatus();
    return Api.id(vm)
        + " "
        + status.getState()
        + (status.getState() == MicroVmState.RUNNING && isReady(vm) ? " and ready" : "")
        + suffix(" on ", Api.id(status.getNode()))
        + suffix(": ", reason(vm));
  }

  /** Why it is as it is, where that is not plain from the state; otherwise empty. */
  public static String reason(MicroVm vm) {
    MicroVmStatus status = vm.getStatus();
    return switch (status.getState()) {
      case STOPPED, FAILED ->
          status.hasTermination()
              ? termination(status.getTermination())
              : why(condition(vm, "Finished"));
      case PENDING -> why(condition(vm, "Scheduled"));
      case SCHEDULED, STARTING -> why(condition(vm, "Prepared"));
      case RUNNING, PAUSED, STOPPING, DELETING, MICRO_VM_STATE_UNSPECIFIED, UNRECOGNIZED -> "";
    };
  }

  public static boolean isReady(MicroVm vm) {
    return condition(vm, "Ready").filter(c -> c.getStatus() == Condition.Status.TRUE).isPresent();
  }

  /** Whether the microVM has ended and its restart policy leaves it at that. */
  public static boolean isFinished(MicroVm vm) {
    MicroVmState state = vm.getStatus().getState();
    Lifecycle.RestartPolicy policy = vm.getSpec().getLifecycle().getRestartPolicy();
    return switch (state) {
      case STOPPED -> policy != Lifecycle.RestartPolicy.ALWAYS || isStopped(vm);
      case FAILED ->
          isStopped(vm)
              || (policy != Lifecycle.RestartPolicy.ALWAYS
                  && policy != Lifecycle.RestartPolicy.ON_FAILURE);
      default -> false;
    };
  }

  /** Not ended by itself: no policy restarts it. */
  private static boolean isStopped(MicroVm vm) {
    return switch (vm.getStatus().getTermination().getCause()) {
      case STOPPED_BY_REQUEST, RUN_TIME_EXCEEDED, IDLE_TIMEOUT -> true;
      default -> false;
    };
  }

  private static String termination(Termination end) {
    return Text.camel(end.getCause()) + suffix(": ", end.getMessage());
  }

  /** Progress as expected needs no words. */
  private static String why(Optional<Condition> condition) {
    return condition
        .filter(because -> !because.getReason().equals("InProgress"))
        .map(because -> because.getReason() + suffix(": ", because.getMessage()))
        .orElse("");
  }

  private static Optional<Condition> condition(MicroVm vm, String type) {
    return vm.getStatus().getConditionsList().stream()
        .filter(condition -> condition.getType().equals(type))
        .findFirst();
  }

  private static String boot(Boot boot) {
    return boot.getKernel()
        + suffix(", initramfs ", boot.getInitramfs())
        + (boot.getNoInitramfs() ? ", no initramfs" : "")
        + suffix(", announced by ", Text.lower(boot.getAnnouncement()).replace("-", ""))
        + suffix(", arguments: ", boot.getCommandLine());
  }

  private static String limits(Limits limits) {
    long milli = Integer.toUnsignedLong(limits.getCpuMilli());
    String cpus = BigDecimal.valueOf(milli, 3).stripTrailingZeros().toPlainString();
    return (milli == 0 ? "any CPU time" : cpus + " CPUs at most")
        + (limits.getCpuWeight() == 0
            ? ""
            : ", weight " + Integer.toUnsignedString(limits.getCpuWeight()));
  }

  private static String lifecycle(Lifecycle lifecycle) {
    Lifecycle.RestartPolicy policy = lifecycle.getRestartPolicy();
    return "restart "
        + (policy.getNumber() == 0 ? "never" : Text.lower(policy))
        + (lifecycle.hasTtl()
            ? ", deleted " + Text.duration(lifecycle.getTtl()) + " after create"
            : "")
        + (lifecycle.hasMaxRunTime()
            ? ", runs at most " + Text.duration(lifecycle.getMaxRunTime())
            : "")
        + (lifecycle.hasIdleTimeout()
            ? ", stopped when unused for " + Text.duration(lifecycle.getIdleTimeout())
            : "");
  }

  private static void field(PrintStream out, String name, String value) {
    out.println("%-10s %s".formatted(name, value));
  }

  private static String suffix(String separator, String text) {
    return text.isEmpty() ? "" : separator + text;
  }

  private static Object[] concat(Object[] first, Object[] second) {
    Object[] all = java.util.Arrays.copyOf(first, first.length + second.length);
    System.arraycopy(second, 0, all, first.length, second.length);
    return all;
  }
}

package dev.vireo.cli;

import dev.vireo.proto.v1.BootTimings;
import dev.vireo.proto.v1.DeviceInspection;
import dev.vireo.proto.v1.InspectMicroVmResponse;
import dev.vireo.proto.v1.Inspection;
import dev.vireo.proto.v1.MicroVmStatus;
import dev.vireo.proto.v1.QueueInspection;
import dev.vireo.proto.v1.RegisterPageMode;
import dev.vireo.proto.v1.VmmCompiler;
import java.io.PrintStream;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/** A VMM's view of itself, for people: what the guest was given, and what that costs. */
public final class InspectionView {
  private InspectionView() {}

  public static void print(InspectMicroVmResponse answer, PrintStream out) {
    MicroVmStatus status = answer.getMicrovm().getStatus();
    Inspection inspection = answer.getInspection();
    out.println(
        "%s  %s on %s, %sVMM process %d, %s of memory (proportional%s), %s of console"
            .formatted(
                Api.id(answer.getMicrovm()),
                status.getState(),
                Text.orDash(Api.id(status.getNode())),
                compiler(inspection.getCompiler()),
                inspection.getVmmPid(),
                Text.bytes(inspection.getPssBytes()),
                backing(inspection.getMemoryBacking()),
                Text.bytes(inspection.getConsoleBytes())));
    out.println(
        "devices announced by %s; arguments: %s"
            .formatted(
                inspection.getAnnouncement().toLowerCase(Locale.ROOT),
                inspection.getCommandLine()));
    printDevices(inspection.getDevicesList(), out);
    printExits(inspection, out);
    printTimings(inspection.getTimings(), out);
  }

  /** By the name that {@code run --compiler} takes, in front of what it is of. */
  private static String compiler(VmmCompiler compiler) {
    return switch (compiler) {
      case VMM_COMPILER_LEAN -> "lean ";
      case VMM_COMPILER_FAST -> "fast ";
      case VMM_COMPILER_UNSPECIFIED, VMM_COMPILER_AUTO, UNRECOGNIZED -> "";
    };
  }

  /** The device table and, below it, properties, queues and counters. */
  public static void printDevices(List<DeviceInspection> devices, PrintStream out) {
    if (devices.isEmpty()) {
      return;
    }
    Table table =
        new Table(
            "SLOT",
            "DEVICE",
            "ID",
            "BACK END",
            "ADDRESS",
            "SIZE",
            "GSI",
            "STATUS",
            "FEATURES",
            "REGISTERS",
            "EXITS/IO");
    Table queues =
        new Table("QUEUE", "SIZE", "READY", "REQUESTS", "NOTIFIED", "INTERRUPTS", "SUPPRESSED");
    Table attributes = new Table("DEVICE", "PROPERTY", "VALUE");
    Table gauges = new Table("DEVICE", "NOW", "VALUE");
    Table counters = new Table("DEVICE", "COUNTER", "VALUE");
    for (DeviceInspection device : devices) {
      table.add(
          device.getSlot(),
          device.getModel(),
          device.getId(),
          device.getBackEnd(),
          "0x%x".formatted(device.getMmioBase()),
          Text.bytes(device.getMmioSize()),
          device.getGsi(),
          VirtioNames.status(device.getStatus()),
          VirtioNames.features(device.getModel(), device.getDriverFeatures()),
          registers(device.getRegisterPage()),
          String.format(Locale.ROOT, "%.3f", device.getExitsPerIo()));
      for (QueueInspection queue : device.getQueuesList()) {
        queues.add(
            device.getId() + "/" + queue.getIndex(),
            queue.getSize(),
            queue.getReady() ? "yes" : "no",
            queue.getRequests(),
            queue.getNotifications(),
            queue.getInterrupts(),
            queue.getInterruptsSuppressed());
      }
      device.getAttributesMap().entrySet().stream()
          .sorted(Map.Entry.comparingByKey())
          .forEach(
              property -> attributes.add(device.getId(), property.getKey(), property.getValue()));
      device.getGaugesMap().entrySet().stream()
          .sorted(Map.Entry.comparingByKey())
          .forEach(gauge -> gauges.add(device.getId(), gauge.getKey(), gauge.getValue()));
      device.getCountersMap().entrySet().stream()
          .sorted(Map.Entry.comparingByKey())
          .forEach(counter -> counters.add(device.getId(), counter.getKey(), counter.getValue()));
    }
    printSection(table, out);
    printSection(attributes, out);
    printSection(queues, out);
    printSection(gauges, out);
    printSection(counters, out);
  }

  /** What is not as usual is worth a word. */
  private static String backing(String memory) {
    return memory.isEmpty() || memory.equals("anonymous") ? "" : ", the guest's " + memory;
  }

  /** How the guest reads them, by the name that {@code run --register-page} takes. */
  private static String registers(RegisterPageMode mode) {
    return switch (mode) {
      case REGISTER_PAGE_AUTO -> "auto";
      case REGISTER_PAGE_LAZY -> "lazy";
      case REGISTER_PAGE_STRICT -> "strict";
      case REGISTER_PAGE_CLASSIC -> "classic";
      case REGISTER_PAGE_MODE_UNSPECIFIED, UNRECOGNIZED -> "-";
    };
  }

  private static void printExits(Inspection inspection, PrintStream out) {
    Table table = new Table("EXITS TO USER SPACE", "COUNT");
    inspection.getExitsMap().entrySet().stream()
        .sorted(Map.Entry.<String, Long>comparingByValue(Comparator.reverseOrder()))
        .forEach(exit -> table.add(exit.getKey(), exit.getValue()));
    printSection(table, out);
  }

  /** How long each step took, counted from the moment the VMM had its spec. */
  public static void printTimings(BootTimings timings, PrintStream out) {
    Table table = new Table("AFTER THE SPEC", "TIME");
    long start = timings.getSpecReceivedNs();
    addTiming(table, "VM set up", start, timings.getVmCreatedNs());
    addTiming(table, "first KVM_RUN", start, timings.getFirstRunNs());
    addTiming(table, "first exit", start, timings.getFirstExitNs());
    addTiming(table, "first console byte", start, timings.getFirstConsoleByteNs());
    printSection(table, out);
  }

  private static void addTiming(Table table, String step, long start, long time) {
    if (start != 0 && time != 0) {
      table.add(step, Text.milliseconds(time - start));
    }
  }

  private static void printSection(Table table, PrintStream out) {
    if (!table.isEmpty()) {
      out.println();
      table.print(out);
    }
  }
}

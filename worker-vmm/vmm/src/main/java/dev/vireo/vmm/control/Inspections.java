package dev.vireo.vmm.control;

import dev.vireo.proto.vmm.v1.DeviceCounters;
import dev.vireo.proto.vmm.v1.QueueCounters;
import dev.vireo.proto.vmm.v1.RegisterPageMode;
import dev.vireo.proto.vmm.v1.VmmCompiler;
import dev.vireo.proto.vmm.v1.VmmInspection;
import dev.vireo.vmm.machine.Machine;
import dev.vireo.vmm.virtio.mmio.MmioTransport;
import dev.vireo.vmm.virtio.mmio.RegisterAccess;
import dev.vireo.vmm.virtio.mmio.TransportInspection;

/** What the machine counts, as the wire has it. */
final class Inspections {
  /** Set beside the JVM's own options, where the two are chosen (src/packaging/package.sh). */
  private static final String COMPILER = System.getProperty("vireo.compiler", "");

  private Inspections() {}

  /** What this VMM's JVM was started with. */
  static VmmCompiler compiler() {
    return compiler(COMPILER);
  }

  static VmmCompiler compiler(String name) {
    return switch (name) {
      case "lean" -> VmmCompiler.VMM_COMPILER_LEAN;
      case "fast" -> VmmCompiler.VMM_COMPILER_FAST;
      default -> VmmCompiler.VMM_COMPILER_UNSPECIFIED;
    };
  }

  /**
   * @param countersOnly without what devices say of the host, and what they ask their drivers
   */
  static void fill(VmmInspection.Builder inspection, Machine machine, boolean countersOnly) {
    inspection
        .setCommandLine(machine.commandLine())
        .setMemoryBacking(machine.memoryBacking().label())
        .putAllExits(machine.exits())
        .addAllVcpuExits(machine.exitsByVcpu());
    for (MmioTransport transport : machine.transports()) {
      inspection.addDevices(device(transport, countersOnly));
    }
  }

  static DeviceCounters device(MmioTransport transport, boolean countersOnly) {
    TransportInspection now = transport.inspect();
    DeviceCounters.Builder device =
        DeviceCounters.newBuilder()
            .setSlot(transport.slot().index())
            .setModel(transport.device().backEnd().model().label())
            .setId(transport.device().id())
            .setBackEnd(transport.device().backEnd().qualifiedName())
            .setMmioBase(transport.slot().base())
            .setMmioSize(transport.slot().size())
            .setGsi(transport.slot().gsi())
            .setRegisterPage(registerPage(transport.registerAccess()))
            .setStatus(now.status())
            .setDriverFeatures(now.driverFeatures())
            .putAllCounters(now.counters())
            .setRegisterExits(now.exitsSinceDriverOk());
    if (!countersOnly) {
      device
          .putAllAttributes(transport.device().attributes())
          .putAllGauges(transport.device().gauges());
    }
    for (TransportInspection.Queue queue : now.queues()) {
      device.addQueues(
          QueueCounters.newBuilder()
              .setIndex(queue.index())
              .setSize(queue.size())
              .setReady(queue.ready())
              .setNotifications(queue.notifications())
              .setInterrupts(queue.interrupts())
              .setInterruptsSuppressed(queue.interruptsSuppressed())
              .setRequests(queue.requests()));
    }
    return device.build();
  }

  private static RegisterPageMode registerPage(RegisterAccess access) {
    return switch (access) {
      case LAZY -> RegisterPageMode.REGISTER_PAGE_LAZY;
      case STRICT -> RegisterPageMode.REGISTER_PAGE_STRICT;
      case CLASSIC -> RegisterPageMode.REGISTER_PAGE_CLASSIC;
    };
  }
}

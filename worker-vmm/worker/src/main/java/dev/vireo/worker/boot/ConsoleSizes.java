package dev.vireo.worker.boot;

import dev.vireo.proto.v1.ConsoleSize;
import dev.vireo.proto.v1.MicroVmSpec;
import dev.vireo.proto.vmm.v1.ConsolePortSize;
import dev.vireo.proto.vmm.v1.ResizeConsoleRequest;

/** A spec's console sizes, as a VMM is told of them. */
public final class ConsoleSizes {
  private ConsoleSizes() {}

  static dev.vireo.proto.vmm.v1.ConsoleSize of(ConsoleSize size) {
    return dev.vireo.proto.vmm.v1.ConsoleSize.newBuilder()
        .setColumns(size.getColumns())
        .setRows(size.getRows())
        .build();
  }

  /** All of them, which may be none. */
  public static ResizeConsoleRequest of(MicroVmSpec spec) {
    ResizeConsoleRequest.Builder request = ResizeConsoleRequest.newBuilder();
    for (int i = 0; i < spec.getVirtioConsole().getPortsCount(); i++) {
      if (spec.getVirtioConsole().getPorts(i).hasSize()) {
        request.addPorts(
            ConsolePortSize.newBuilder()
                .setPort(i)
                .setSize(of(spec.getVirtioConsole().getPorts(i).getSize())));
      }
    }
    return request.build();
  }
}

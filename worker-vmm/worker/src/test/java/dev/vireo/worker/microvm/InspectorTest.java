package dev.vireo.worker.microvm;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.vireo.proto.vmm.v1.DeviceCounters;
import dev.vireo.proto.vmm.v1.QueueCounters;
import org.junit.jupiter.api.Test;

class InspectorTest {
  @Test
  void exitsPerIoAreThoseOfAllQueues() {
    DeviceCounters counters =
        DeviceCounters.newBuilder()
            .setRegisterExits(30)
            .addQueues(QueueCounters.newBuilder().setRequests(50))
            .addQueues(QueueCounters.newBuilder().setRequests(10))
            .build();
    assertEquals(0.5, Inspector.exitsPerIo(counters));
  }

  @Test
  void beforeTheFirstRequestThereAreNone() {
    assertEquals(0, Inspector.exitsPerIo(DeviceCounters.newBuilder().setRegisterExits(9).build()));
  }
}

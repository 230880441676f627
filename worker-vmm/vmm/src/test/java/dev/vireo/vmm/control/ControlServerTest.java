package dev.vireo.vmm.control;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.vireo.proto.vmm.v1.VmmState;
import java.io.IOException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** A VMM process that has no guest yet, and its worker. */
@Timeout(60)
final class ControlServerTest {
  /** The guest runs on in such a case, and somebody must be able to stop it. */
  @Test
  void aMessageThatThereIsNoMemoryForCostsTheConnectionAlone() throws IOException {
    try (VmmClient vmm = VmmClient.spawnFromClassPath("-Xmx8m")) {
      vmm.sendLargest();
      vmm.awaitDisconnection();
      assertTrue(vmm.log().contains("gave the worker up: java.lang.OutOfMemory"), vmm::log);
      vmm.disconnect();
      vmm.connect();
      assertEquals(VmmState.VMM_IDLE, vmm.status().getStatus().getState(), vmm::log);
    }
  }
}

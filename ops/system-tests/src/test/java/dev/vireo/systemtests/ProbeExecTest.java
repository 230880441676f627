package dev.vireo.systemtests;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.vireo.bench.cluster.GuestExec;
import dev.vireo.bench.cluster.MicroVms;
import dev.vireo.bench.cluster.ProbeSpec;
import dev.vireo.proto.v1.CreateMicroVmRequest.Wait;
import dev.vireo.proto.v1.Vsock;
import io.grpc.StatusRuntimeException;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.RegisterExtension;

/**
 * Commands in a probe guest, which answers as an agent does: all of the way from a client but
 * Linux, on this machine's KVM.
 */
@Tag("kvm")
class ProbeExecTest {
  private static final int COMMANDS = 200;

  @RegisterExtension static final ClusterExtension CLUSTER = new ClusterExtension(1);

  private final MicroVms microVms = CLUSTER.microVms();
  private final GuestExec guest =
      new GuestExec(CLUSTER.cluster().channel(), microVms.name("agent"), ClusterExtension.PATIENCE);

  @BeforeEach
  void anAgentIsThere() {
    microVms.create(
        "agent",
        ProbeSpec.of("probe.run=vsock-agent").toBuilder()
            .setVsock(Vsock.getDefaultInstance())
            .build(),
        Wait.WAIT_READY);
  }

  @Test
  void aCommandsStatusComesBack() {
    assertEquals(0, guest.run("true").status());
    assertEquals(1, guest.run("false", "of", "arguments").status());
  }

  @Test
  void whatThereIsNotIsRefusedInWords() {
    StatusRuntimeException refused =
        assertThrows(StatusRuntimeException.class, () -> guest.run("x".repeat(100)));
    assertTrue(refused.toString().contains("true and false"), refused.toString());
    // More than its room.
    assertThrows(StatusRuntimeException.class, () -> guest.run("true", "x".repeat(5_000)));

    assertEquals(0, guest.run("true").status());
  }

  @Test
  void manyOneAfterTheOther() {
    for (int i = 0; i < COMMANDS; i++) {
      assertEquals(i % 2, guest.run(i % 2 == 0 ? "true" : "false").status());
    }
  }
}

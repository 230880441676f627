package dev.vireo.systemtests;

import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;

import dev.vireo.proto.v1.Architecture;
import dev.vireo.proto.v1.DeviceInspection;
import dev.vireo.proto.v1.MicroVmSpec;
import java.io.Closeable;
import java.io.IOException;
import java.time.Duration;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.RegisterExtension;

/** Streams between processes of a node and of a Debian guest, of which every byte is compared. */
@Tag("linux")
class VsockTest {
  private static final String STREAMS = LinuxCluster.TOOLS + "/bin/streams";

  private static final String GUEST_SCRIPT =
      """
      streams serve vsock 1000 &
      until streams connect vsock 2 1001 100 20 20000 2> /dev/null; do sleep 1; done
      """;

  @RegisterExtension
  static final LinuxClusterExtension CLUSTER = new LinuxClusterExtension(Architecture.X86_64);

  private final LinuxCluster cluster = CLUSTER.cluster();
  private final LinuxGuests guests = cluster.guests();

  @BeforeEach
  void theNodeHasTools() throws IOException {
    cluster.mountTools(Architecture.X86_64);
  }

  @Test
  void bytesArriveAsTheyWereSentInBothDirections() throws Exception {
    String socket = start("talkative");

    onNode("%s connect hybrid %s 1000 100 20 20000".formatted(STREAMS, socket));
    try (var _ = listen(socket + "_1001")) {
      guests.awaitConsole("talkative", "100 connections, 20 at once, 20000 bytes each way");
    }

    DeviceInspection vsock = guests.inspect("talkative").getDevices(1);
    assertEquals("0", vsock.getAttributesOrThrow("connections"), vsock::toString);
    String refused =
        onNode(
            "printf 'CONNECT 999\\n' | chroot %s socat -t 9 - UNIX-CONNECT:%s"
                .formatted(LinuxCluster.TOOLS, socket));
    assertEquals("", refused.strip(), "nobody listens there");
  }

  /** The VMM has it, whom neither its worker's end nor a pause takes it from. */
  @Test
  void aConnectionOutlivesAPauseOfItsMicroVmAndTheEndOfItsWorker() throws Exception {
    String socket = start("lasting");
    long vmm = guests.inspect("lasting").getVmmPid();
    try (var _ = holdConnection(socket)) {
      say("first");
      awaitEcho("first");

      guests.pause("lasting");
      say("while it is paused");
      assertFalse(heard().contains("while it is paused"), "a guest that is paused answers nobody");
      guests.resume("lasting");
      awaitEcho("while it is paused");

      cluster.killWorker(Architecture.X86_64);
      say("without a worker");
      awaitEcho("without a worker");

      await("the worker that was started again has the microVM")
          .atMost(LinuxCluster.PATIENCE)
          .until(() -> guests.inspect("lasting").getVmmPid() == vmm);
      say("last");
      awaitEcho("last");
      onNode("%s connect hybrid %s 1000 5 5 20000".formatted(STREAMS, socket));
      try (var _ = listen(socket + "_1001")) {
        guests.awaitConsole("lasting", "100 connections, 20 at once, 20000 bytes each way");
      }
    }
    assertEquals(0, guests.status("lasting").getRestarts());
  }

  /**
   * A connection to the guest's port 1000 that lasts until it is closed. Its fifo has a reader in
   * any case: who writes to it when the connection has ended must not wait for one.
   */
  private Closeable holdConnection(String socket) throws IOException {
    String processes =
        onNode(
            """
            cd /tmp && rm -f said heard && mkfifo said && > heard &&
            { chroot %s socat -t 9 - UNIX-CONNECT:%s < said > heard & echo $!; } &&
            { sleep 99999 <> said & echo $!; } &&
            echo 'CONNECT 1000' > said\
            """
                .formatted(LinuxCluster.TOOLS, socket));
    awaitEcho("OK ");
    return () -> onNode("kill %s; rm /tmp/said /tmp/heard".formatted(processes.replace('\n', ' ')));
  }

  /** The node starts it again. */
  private void say(String line) throws IOException {
    onNode("echo '%s' > /tmp/said".formatted(line));
  }

  private String heard() throws IOException {
    return onNode("cat /tmp/heard");
  }

  private void awaitEcho(String text) {
    await(text)
        .atMost(LinuxCluster.PATIENCE)
        .pollInterval(Duration.ofSeconds(2)) // Each look is a process of the node.
        .until(() -> heard().contains(text));
  }

  /**
   * A guest that listens at its port 1000 and tries to reach the node's 1001; the answer is its
   * socket on the node.
   */
  private String start(String name) throws IOException {
    String script = LinuxGuests.compressed(GUEST_SCRIPT);
    MicroVmSpec.Builder spec =
        LinuxGuests.withTools(Architecture.X86_64, "sh:%s,idle".formatted(script));
    spec.getVsockBuilder();
    guests.start(name, spec);
    guests.awaitConsole(name, "streams: listening");
    return guests.status(name).getVsock().getSocket();
  }

  private String onNode(String command) throws IOException {
    return cluster.askNode(Architecture.X86_64, command);
  }

  /** A process of the node that sends back what it is sent, until it is closed. */
  private Closeable listen(String socket) throws IOException {
    String process = onNode("%s serve unix %s > /dev/null & echo $!".formatted(STREAMS, socket));
    return () -> cluster.onNode(Architecture.X86_64, "kill " + process.strip());
  }
}

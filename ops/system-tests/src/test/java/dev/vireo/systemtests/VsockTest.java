package dev.vireo.systemtests;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.vireo.proto.v1.Architecture;
import dev.vireo.proto.v1.DeviceInspection;
import dev.vireo.proto.v1.MicroVmSpec;
import java.io.IOException;
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
  private Listener listen(String socket) throws IOException {
    String process = onNode("%s serve unix %s > /dev/null & echo $!".formatted(STREAMS, socket));
    return () -> cluster.onNode(Architecture.X86_64, "kill " + process.strip());
  }

  private interface Listener extends AutoCloseable {
    @Override
    void close() throws IOException;
  }
}

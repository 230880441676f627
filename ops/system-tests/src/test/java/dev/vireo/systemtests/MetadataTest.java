package dev.vireo.systemtests;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.protobuf.ByteString;
import dev.vireo.proto.v1.Architecture;
import dev.vireo.proto.v1.MicroVmSpec;
import java.io.IOException;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.RegisterExtension;

/** The metadata service as a process of a guest meets it, that has no network at all. */
@Tag("linux")
class MetadataTest {
  @RegisterExtension
  static final LinuxClusterExtension CLUSTER = new LinuxClusterExtension(Architecture.X86_64);

  /** busybox's wget sends no PUT. The answer's last line is the token, without an end. */
  private static final String TOKEN =
      """
      token() {
        printf 'PUT /latest/api/token HTTP/1.1\\r\\nX-aws-ec2-metadata-token-ttl-seconds: 60\\r\\n\\r\\n' \\
          | nc 169.254.169.254 80 | tail -n 1
      }
      ask() { wget -q -O - --header "X-vireo-metadata-token: $T" "http://169.254.169.254/latest/$1"; }
      """;

  private final LinuxCluster cluster = CLUSTER.cluster();
  private final LinuxGuests guests = cluster.guests();

  private static MicroVmSpec.Builder busybox(String script) {
    MicroVmSpec.Builder spec =
        MicroVmSpec.newBuilder().setArchitecture(Architecture.X86_64).setVcpus(1).setMemoryMib(256);
    spec.getContainerBuilder()
        .setImage("busybox")
        .addArguments("sh")
        .addArguments("-c")
        .addArguments(TOKEN + script);
    spec.getMetadataBuilder()
        .setUserData(ByteString.copyFromUtf8("for the guest\n"))
        .putAttributes("role", "web");
    return spec;
  }

  @Test
  void aGuestLearnsWhoItIsAndItsUserDataAndOnlyWithAToken() {
    guests.start(
        "told",
        busybox(
            """
            wget -q -O - http://169.254.169.254/latest/meta-data/name 2>&1 | grep -o 401
            T=$(token)
            echo "name $(ask meta-data/name), role $(ask meta-data/attributes/role)"
            ask user-data
            ip addr show lo | grep -o '169.254.169.254/[0-9]*'
            T=guessed; ask meta-data/name 2>&1 | grep -o 401
            exit 0
            """));

    assertEquals(0, guests.awaitEnd("told").getExitStatus(), () -> guests.console("told"));
    assertEquals(
        "401\nname told, role web\nfor the guest\n169.254.169.254/32\n401\n",
        guests.console("told"));
  }

  @Test
  void aWorkersSuccessorGoesOnAnsweringWithNewTokens() throws IOException {
    guests.start(
        "lasting",
        busybox(
            """
            T=$(token); echo "first $(ask meta-data/name)"
            while ask meta-data/name > /dev/null 2>&1; do sleep 1; done
            until T=$(token) && N=$(ask meta-data/name 2> /dev/null); do sleep 1; done
            echo "then $N"
            """));
    guests.awaitConsole("lasting", "first lasting");

    cluster.killWorker(Architecture.X86_64);

    guests.awaitConsole("lasting", "then lasting");
    assertEquals(0, guests.awaitEnd("lasting").getExitStatus());
    assertTrue(guests.console("lasting").endsWith("then lasting\n"), guests.console("lasting"));
  }
}

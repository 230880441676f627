package dev.vireo.systemtests;

import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.protobuf.ByteString;
import dev.vireo.proto.v1.Architecture;
import dev.vireo.proto.v1.HttpHeader;
import dev.vireo.proto.v1.InvokeRequest;
import dev.vireo.proto.v1.InvokeResponse;
import dev.vireo.proto.v1.InvokeStart;
import dev.vireo.proto.v1.MicroVmServiceGrpc;
import dev.vireo.proto.v1.StreamEnd;
import io.grpc.StatusException;
import io.grpc.stub.BlockingClientCall;
import java.io.ByteArrayInputStream;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.RegisterExtension;

/** Functions: a container with an HTTP server and no network, and who asks it something. */
@Tag("linux")
class FunctionTest {
  private static final String NAME = "projects/default/microvms/fn";

  /**
   * A second after its start there is a page, a script that answers with what it is sent, and one
   * that hangs.
   */
  private static final String SERVER =
      """
      mkdir -p /www/cgi-bin
      printf 'hello\\n' > /www/index.html
      printf '#!/bin/sh\\necho Content-Type: application/x-echo\\necho\\nexec cat\\n' > /www/cgi-bin/echo
      printf '#!/bin/sh\\nexec sleep 4711\\n' > /www/cgi-bin/hang
      chmod +x /www/cgi-bin/*
      sleep 1
      exec httpd -f -p 127.0.0.1:8080 -h /www
      """;

  private static final String HANGING = "ps -o args | grep -c '^sleep 4711'";

  @RegisterExtension
  static final LinuxClusterExtension CLUSTER = new LinuxClusterExtension(Architecture.X86_64);

  private final LinuxCluster cluster = CLUSTER.cluster();
  private final Vireo vireo = cluster.vireo();

  /** It is not waited for: whoever asks it first does. */
  @BeforeEach
  void aFunctionStarts() {
    Vireo.Result result =
        vireo.run(
            "run",
            "fn",
            "--image",
            "busybox",
            "--arch",
            "x86_64",
            "--http",
            "8080",
            "--http-ready",
            "/",
            "--",
            "sh",
            "-c",
            SERVER);
    assertEquals(0, result.exitCode(), result.err());
  }

  @Test
  void whoAsksFirstWaitsForItsStartAndOthersAreAnswered() throws Exception {
    Vireo.Result first = vireo.run("invoke", "--timeout", "5m", "fn");
    assertEquals("hello\n", first.out(), first.err());
    assertEquals(0, first.exitCode());

    assertEquals(22, vireo.run("invoke", "-f", "fn", "/none").exitCode());
    Vireo.Result refused = vireo.run("invoke", "--port", "81", "fn");
    assertEquals(125, refused.exitCode());
    assertTrue(refused.err().contains("PORT_REFUSED"), refused.err());

    byte[] body = new byte[1 << 20];
    new Random(1).nextBytes(body);
    Vireo.Result echoed =
        vireo.runWith(
            new ByteArrayInputStream(body),
            "invoke",
            "-i",
            "-H",
            "Content-Length: 1048576",
            "-d",
            "@-",
            "fn",
            "/cgi-bin/echo");
    assertEquals(0, echoed.exitCode(), echoed.err());
    assertTrue(echoed.out().startsWith("HTTP/1.1 200\r\n"), () -> echoed.out().substring(0, 200));
    assertTrue(echoed.out().contains("application/x-echo"), () -> echoed.out().substring(0, 200));

    anyClientOfTheApiIsAnsweredToo(body);
    aClientThatGoesTakesItsRequestAlong();
  }

  private void anyClientOfTheApiIsAnsweredToo(byte[] body) throws Exception {
    BlockingClientCall<InvokeRequest, InvokeResponse> call = call("/cgi-bin/echo", body.length);
    Thread sender =
        Thread.ofVirtual()
            .start(() -> {
              try {
                for (int at = 0; at < body.length; at += 64 << 10) {
                  call.write(
                      InvokeRequest.newBuilder()
                          .setBody(ByteString.copyFrom(body, at, 64 << 10))
                          .build());
                }
                call.write(
                    InvokeRequest.newBuilder().setEnd(StreamEnd.getDefaultInstance()).build());
              } catch (StatusException | InterruptedException e) {
                throw new IllegalStateException(e);
              }
            });
    assertEquals(200, call.read().getHead().getStatus());
    ByteString echoed = ByteString.EMPTY;
    InvokeResponse next = call.read();
    for (; !next.hasEnd(); next = call.read()) {
      echoed = echoed.concat(next.getBody());
    }
    sender.join();
    assertArrayEquals(body, echoed.toByteArray());
  }

  private void aClientThatGoesTakesItsRequestAlong() throws Exception {
    BlockingClientCall<InvokeRequest, InvokeResponse> call = call("/cgi-bin/hang", 0);
    await().atMost(LinuxCluster.PATIENCE).until(() -> hanging().equals("1\n"));
    call.cancel("the client goes", null);
    Vireo.Result late = vireo.run("invoke", "--timeout", "3s", "fn", "/cgi-bin/hang");
    assertEquals(125, late.exitCode());
    assertTrue(late.err().contains("HTTP_TIMED_OUT"), late.err());
    String connected = "netstat -tn | grep -c '127.0.0.1:8080 .*ESTABLISHED'";
    await("no connection is left")
        .atMost(LinuxCluster.PATIENCE)
        .until(() -> vireo.run("exec", "fn", "--", "sh", "-c", connected).out().equals("0\n"));
  }

  private String hanging() {
    return vireo.run("exec", "fn", "--", "sh", "-c", HANGING).out();
  }

  private BlockingClientCall<InvokeRequest, InvokeResponse> call(String path, int length)
      throws StatusException, InterruptedException {
    BlockingClientCall<InvokeRequest, InvokeResponse> call =
        MicroVmServiceGrpc.newBlockingV2Stub(cluster.channel())
            .withDeadlineAfter(LinuxCluster.PATIENCE.toSeconds(), TimeUnit.SECONDS)
            .invoke();
    InvokeStart.Builder start =
        InvokeStart.newBuilder().setName(NAME).setMethod("POST").setPath(path);
    start.addHeaders(
        HttpHeader.newBuilder().setName("Content-Length").setValue(Integer.toString(length)));
    call.write(InvokeRequest.newBuilder().setStart(start).build());
    return call;
  }
}

package dev.vireo.systemtests;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.protobuf.ByteString;
import dev.vireo.proto.v1.Architecture;
import dev.vireo.proto.v1.MicroVmServiceGrpc;
import dev.vireo.proto.v1.PortForwardRequest;
import dev.vireo.proto.v1.PortForwardResponse;
import dev.vireo.proto.v1.PortForwardStart;
import io.grpc.StatusRuntimeException;
import io.grpc.stub.StreamObserver;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.api.io.TempDir;

/** An image as users have them, with a program that does what programs do. */
@Tag("linux")
class PythonImageTest {
  @RegisterExtension
  static final LinuxClusterExtension CLUSTER = new LinuxClusterExtension(Architecture.X86_64);

  @TempDir private Path directory;
  private final LinuxCluster cluster = CLUSTER.cluster();
  private final Vireo vireo = cluster.vireo();

  @Test
  void aProgramReadsItsInputWritesAFileServesAPortAndEndsWithItsStatus() throws Exception {
    CompletableFuture<Vireo.Result> run =
        CompletableFuture.supplyAsync(() ->
            vireo.runWith(
                new ByteArrayInputStream("small letters\n".getBytes(UTF_8)),
                ("run python -i --attach --arch x86_64 --memory 256M --image " + PythonImage.NAME)
                    .split(" ")));
    await("its server listens")
        .atMost(LinuxCluster.PATIENCE)
        .ignoreExceptionsInstanceOf(StatusRuntimeException.class) // There is no output yet.
        .until(() -> run.isDone() || cluster.guests().console("python").contains("listening"));
    assertFalse(run.isDone(), () -> run.join().toString());

    assertEquals("small letters\n", copiedOut("/app/data/input"));
    assertTrue(get().endsWith("\r\n\r\nSMALL LETTERS\n"), "served");

    Vireo.Result result = run.get(LinuxCluster.PATIENCE.toSeconds(), TimeUnit.SECONDS);
    assertEquals("hello from /app as 1000\nlistening\n", result.out(), result.err());
    assertEquals(7, result.exitCode(), result.err());
  }

  private String copiedOut(String path) throws IOException {
    Path here = directory.resolve("out");
    Vireo.Result copy = vireo.run("cp", "python:" + path, here.toString());
    assertEquals(0, copy.exitCode(), copy.err());
    return Files.readString(here);
  }

  /** By a plain gRPC client. */
  private String get() {
    CompletableFuture<String> answer = new CompletableFuture<>();
    StreamObserver<PortForwardRequest> request =
        MicroVmServiceGrpc.newStub(cluster.channel())
            .withDeadlineAfter(LinuxCluster.PATIENCE.toSeconds(), TimeUnit.SECONDS)
            .portForward(
                new StreamObserver<>() {
                  private ByteString all = ByteString.EMPTY;

                  @Override
                  public void onNext(PortForwardResponse response) {
                    all = all.concat(response.getData());
                  }

                  @Override
                  public void onError(Throwable failure) {
                    answer.completeExceptionally(failure);
                  }

                  @Override
                  public void onCompleted() {
                    answer.complete(all.toStringUtf8());
                  }
                });
    request.onNext(
        PortForwardRequest.newBuilder()
            .setStart(
                PortForwardStart.newBuilder()
                    .setName("projects/default/microvms/python")
                    .setPort(PythonImage.PORT))
            .build());
    request.onNext(
        PortForwardRequest.newBuilder()
            .setData(ByteString.copyFromUtf8("GET / HTTP/1.0\r\n\r\n"))
            .build());
    request.onCompleted();
    return answer.orTimeout(LinuxCluster.PATIENCE.toSeconds(), TimeUnit.SECONDS).join();
  }
}

package dev.vireo.worker.metadata;

import static java.nio.charset.StandardCharsets.ISO_8859_1;
import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.protobuf.ByteString;
import dev.vireo.proto.v1.NetworkStatus;
import dev.vireo.proto.worker.v1.Assignment;
import dev.vireo.worker.metadata.Guest.Answer;
import dev.vireo.worker.time.ManualTime;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.concurrent.ConcurrentHashMap;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Metadata services on real sockets, with a clock and randomness of the test's. */
class MetadataServersTest {
  private static final String TOKEN = "X-vireo-metadata-token: ";
  private static final String TTL = "X-vireo-metadata-token-ttl-seconds: ";
  private static final String API = "/latest/api/token";

  @TempDir private Path directory;
  private final ManualTime time = new ManualTime();
  private final Map<String, Integer> events = new ConcurrentHashMap<>();
  private final MetadataServers servers =
      new MetadataServers(
          "node-1", new Random(7), time, event -> events.merge(event, 1, Integer::sum));
  private Path socket;

  @BeforeEach
  void serve() throws IOException {
    socket = directory.resolve("vsock_169");
    var _ = servers.open(assignment("web-1"), Optional.empty(), socket);
  }

  @AfterEach
  void close() {
    servers.close();
  }

  private static Assignment assignment(String name) {
    Assignment.Builder assignment =
        Assignment.newBuilder().setUid("uid-of-" + name).setName("projects/lab/microvms/" + name);
    var spec = assignment.getSpecBuilder().setVcpus(2).setMemoryMib(256);
    spec.getMetadataBuilder()
        .setUserData(ByteString.copyFromUtf8("#cloud-config\n"))
        .putAttributes("role", "web")
        .putAttributes("team", "a\"b");
    return assignment.build();
  }

  private int count(String event) {
    return events.getOrDefault(event, 0);
  }

  private String token(Path of) throws IOException {
    Answer answer = Guest.ask(of, "PUT", API, TTL + 60);
    assertEquals(200, answer.status());
    return answer.body();
  }

  private Answer get(String path) throws IOException {
    return Guest.ask(socket, "GET", path, TOKEN + token(socket));
  }

  // ---- What it tells. ----

  @ParameterizedTest
  @CsvSource({
    "instance-id, uid-of-web-1",
    "name, web-1",
    "project, lab",
    "node, node-1",
    "vcpus, 2",
    "memory-mib, 256",
    "attributes/role, web",
    "attributes/team, a\"b",
  })
  void tellsAGuestWhoItIs(String path, String value) throws IOException {
    Answer answer = get("/latest/meta-data/" + path);

    assertEquals(200, answer.status());
    assertEquals(value, answer.body());
    assertEquals("text/plain; charset=utf-8", answer.header("Content-Type"));
  }

  @Test
  void listsWhatThereIsWithOrWithoutASlash() throws IOException {
    String names = "attributes/\ninstance-id\nmemory-mib\nname\nnode\nproject\nvcpus";
    assertEquals("latest/", get("/").body());
    assertEquals("meta-data/\nmeta-data.json\nuser-data", get("/latest/").body());
    assertEquals(names, get("/latest/meta-data/").body());
    assertEquals(names, get("/latest/meta-data").body());
    assertEquals("role\nteam", get("/latest/meta-data/attributes/").body());
  }

  @Test
  void tellsTheAddressThatItsNodeHasGivenIt() throws IOException {
    Path other = directory.resolve("other_169");
    NetworkStatus network =
        NetworkStatus.newBuilder()
            .setAddress("10.213.0.2")
            .setGateway("10.213.0.1")
            .setMacAddress("02:00:0a:d5:00:02")
            .build();
    try (MetadataService _ = servers.open(assignment("web-2"), Optional.of(network), other)) {
      String header = TOKEN + token(other);
      String below = "/latest/meta-data/";
      assertEquals("10.213.0.2", Guest.ask(other, "GET", below + "local-ipv4", header).body());
      assertEquals("02:00:0a:d5:00:02", Guest.ask(other, "GET", below + "mac", header).body());
    }
    assertEquals(404, get("/latest/meta-data/local-ipv4").status());
  }

  @Test
  void tellsAllOfItAsJson() throws IOException {
    Answer answer = get("/latest/meta-data.json?pretty");

    assertEquals("application/json", answer.header("Content-Type"));
    assertEquals(
        "{\"instance-id\":\"uid-of-web-1\",\"name\":\"web-1\",\"project\":\"lab\",\"node\":\"node-1\","
            + "\"vcpus\":2,\"memory-mib\":256,\"attributes\":{\"role\":\"web\",\"team\":\"a\\\"b\"}}\n",
        answer.body());
  }

  @Test
  void handsOutUserDataByteByByte() throws IOException {
    byte[] all = new byte[64 << 10];
    new Random(1).nextBytes(all);
    Assignment.Builder large = assignment("large").toBuilder();
    large.getSpecBuilder().getMetadataBuilder().setUserData(ByteString.copyFrom(all));
    Path other = directory.resolve("large");
    try (MetadataService _ = servers.open(large.build(), Optional.empty(), other)) {
      Answer answer = Guest.ask(other, "GET", "/latest/user-data", TOKEN + token(other));

      assertArrayEquals(all, answer.body().getBytes(ISO_8859_1));
      assertEquals("application/octet-stream", answer.header("Content-Type"));
    }
  }

  @Test
  void withoutUserDataThereIsNone() throws IOException {
    Assignment.Builder none = assignment("none").toBuilder();
    none.getSpecBuilder().getMetadataBuilder().clearUserData();
    Path other = directory.resolve("none");
    try (MetadataService _ = servers.open(none.build(), Optional.empty(), other)) {
      String token = token(other);
      assertEquals(404, Guest.ask(other, "GET", "/latest/user-data", TOKEN + token).status());
      assertEquals(
          "meta-data/\nmeta-data.json", Guest.ask(other, "GET", "/latest/", TOKEN + token).body());
    }
  }

  // ---- To whom. ----

  @Test
  void withoutATokenItTellsNothing() throws IOException {
    assertEquals(401, Guest.ask(socket, "GET", "/latest/meta-data/name").status());
    assertEquals(401, Guest.ask(socket, "GET", "/nothing").status());
    assertEquals(401, Guest.ask(socket, "GET", "/latest/user-data", TOKEN + "guessed").status());
    assertEquals(3, count("requests_refused"));
  }

  @Test
  void aTokenIsGoodUntilItsTimeIsOver() throws IOException {
    String token = token(socket);
    time.pass(Duration.ofSeconds(59));
    assertEquals(200, Guest.ask(socket, "GET", "/", TOKEN + token).status());
    time.pass(Duration.ofSeconds(1));
    assertEquals(401, Guest.ask(socket, "GET", "/", TOKEN + token).status());
  }

  @Test
  void theNamesOfAmazonsHeadersWillDo() throws IOException {
    Answer token = Guest.ask(socket, "PUT", API, "X-aws-ec2-metadata-token-ttl-seconds: 21600");

    assertEquals("21600", token.header("X-aws-ec2-metadata-token-ttl-seconds"));
    assertEquals(
        "web-1",
        Guest.ask(
                socket,
                "GET",
                "/latest/meta-data/name",
                "X-aws-ec2-metadata-token: " + token.body())
            .body());
  }

  @ParameterizedTest
  @ValueSource(strings = {"0", "21601", "-1", "", "1h", "99999999999"})
  void aTokenOfNoSensibleTimeIsRefused(String seconds) throws IOException {
    Answer answer = Guest.ask(socket, "PUT", API, TTL + seconds);
    assertEquals(400, answer.status());
    assertTrue(answer.body().contains("1 to 21600"), answer.body());
  }

  @Test
  void aTokenOfNoTimeAtAllIsRefused() throws IOException {
    assertEquals(400, Guest.ask(socket, "PUT", API).status());
  }

  @Test
  void noProxyIsAnswered() throws IOException {
    String forwarded = "X-Forwarded-For: 10.0.0.1";
    assertEquals(403, Guest.ask(socket, "PUT", API, TTL + 60, forwarded).status());
    assertEquals(403, Guest.ask(socket, "GET", "/", TOKEN + token(socket), forwarded).status());
  }

  @Test
  void tokensAreAGuestsOwn() throws IOException {
    Path other = directory.resolve("other");
    try (MetadataService _ = servers.open(assignment("web-2"), Optional.empty(), other)) {
      String ours = token(socket);
      assertNotEquals(ours, token(other));
      assertEquals(401, Guest.ask(other, "GET", "/", TOKEN + ours).status());
    }
  }

  @Test
  void tokensAreBoundedAndTheOldestGoesFirst() {
    SessionTokens tokens = new SessionTokens(new Random(3), time);
    List<String> issued = new ArrayList<>();
    for (int i = 0; i <= SessionTokens.MOST; i++) {
      issued.add(tokens.issue(Duration.ofSeconds(60)));
    }
    assertFalse(tokens.isValid(issued.get(0)));
    assertTrue(tokens.isValid(issued.get(1)));
    assertTrue(tokens.isValid(issued.getLast()));
  }

  @ParameterizedTest
  @CsvSource({
    "GET, /latest/api/token, 405, PUT",
    "POST, /latest/api/token, 405, PUT",
    "PUT, /latest/meta-data/name, 405, GET",
    "DELETE, /, 405, GET",
    "HEAD, /, 405, GET",
    "GET, /latest/meta-data/nothing, 404, ''",
    "GET, /latest/meta-data/../user-data, 404, ''",
    "GET, http://169.254.169.254/latest/, 404, ''",
  })
  void whatIsNotThereIsRefused(String method, String path, int status, String allow)
      throws IOException {
    Answer answer = Guest.ask(socket, method, path, TOKEN + token(socket));
    assertEquals(status, answer.status());
    assertEquals(allow, answer.header("Allow"));
  }

  // ---- What a hostile guest can do. ----

  @Test
  void malformedRequestsAreRefused() throws IOException {
    assertEquals(400, answerTo("\0\1\2\r\n\r\n"));
    assertEquals(414, answerTo("GET /" + "x".repeat(3 << 10) + " HTTP/1.1\r\n\r\n"));
    assertEquals(431, answerTo("GET / HTTP/1.1\r\nA: " + "x".repeat(9 << 10) + "\r\n\r\n"));
  }

  private int answerTo(String bytes) throws IOException {
    try (Guest guest = new Guest(socket)) {
      guest.send(bytes);
      return guest.answer().status();
    }
  }

  @Test
  void aBodyIsNotWaitedForNorRead() throws IOException {
    try (Guest guest = new Guest(socket)) {
      guest.send(
          Guest.request("PUT", API, TTL + 60, "Content-Length: 1099511627776") + "some of it");
      assertEquals(200, guest.answer().status());
    }
  }

  @Test
  void aConnectionIsOneRequest() throws IOException {
    try (Guest guest = new Guest(socket)) {
      guest.send(Guest.request("PUT", API, TTL + 60).repeat(100));
      String all = guest.rest();
      assertEquals(1, all.split("HTTP/1.1 200", -1).length - 1, all);
      assertTrue(all.toLowerCase(java.util.Locale.ROOT).contains("connection: close"), all);
    }
    assertEquals(1, count("requests"));
  }

  @Test
  void whoSaysNothingIsNotListenedToForLong() throws IOException {
    try (Guest silent = new Guest(socket);
        Guest slow = new Guest(socket)) {
      slow.send("GET / HT");
      await().until(() -> count("connections") == 2);
      time.pass(MetadataServer.LONGEST_CONNECTION);
      assertEquals("", silent.rest());
      assertEquals("", slow.rest());
      assertEquals(2, count("connections_timed_out"));
    }
  }

  @Test
  void oneGuestsConnectionsAreBoundedAndAnotherDoesNotMind() throws IOException {
    List<Guest> held = new ArrayList<>();
    Path other = directory.resolve("other");
    try (MetadataService _ = servers.open(assignment("web-2"), Optional.empty(), other)) {
      for (int i = 0; i < MetadataServer.MOST_CONNECTIONS + 8; i++) {
        held.add(new Guest(socket));
      }
      await().until(() -> count("connections") == MetadataServer.MOST_CONNECTIONS);
      Guest.ask(other, "PUT", API, TTL + 60);
      assertEquals(MetadataServer.MOST_CONNECTIONS + 1, count("connections"));

      held.get(0).close();
      await().until(() -> count("connections") == MetadataServer.MOST_CONNECTIONS + 2);
    } finally {
      for (Guest guest : held) {
        guest.close();
      }
    }
  }

  @Test
  void oneGuestsRequestsArePaced() throws IOException {
    int most = MetadataServer.BURST;
    for (int i = 0; i < most; i++) {
      Guest.ask(socket, "PUT", API, TTL + 60);
    }
    try (Guest late = new Guest(socket)) {
      late.send(Guest.request("PUT", API, TTL + 60));
      await().until(() -> count("connections_delayed") > 0);
      assertEquals(most, count("connections"));

      time.pass(MetadataServer.INTERVAL);
      assertEquals(200, late.answer().status());
    }
  }

  // ---- Its socket. ----

  @Test
  void replacesWhatAPredecessorLeftAndRemovesItsOwn() throws IOException {
    Path left = directory.resolve("left");
    Files.createFile(left);
    MetadataService service = servers.open(assignment("web-2"), Optional.empty(), left);
    try (Guest held = new Guest(left)) {
      token(left);
      service.close();
      assertEquals("", held.rest());
    }
    assertFalse(Files.exists(left));
    assertThrows(IOException.class, () -> new Guest(left));
  }

  @Test
  void aSocketThatCannotBeMadeIsAnError() {
    assertThrows(
        IOException.class,
        () ->
            servers.open(
                assignment("web-2"),
                Optional.empty(),
                directory.resolve("no-such").resolve("socket")));
  }
}

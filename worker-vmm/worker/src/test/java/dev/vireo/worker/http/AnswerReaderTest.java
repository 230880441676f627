package dev.vireo.worker.http;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.protobuf.ByteString;
import dev.vireo.proto.v1.HttpHeader;
import dev.vireo.proto.v1.InvokeResponse;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Answers of servers, good and bad, as they come in pieces of any size. */
class AnswerReaderTest {
  private final AnswerReader reader = new AnswerReader(false);

  private static ByteString bytes(String text) {
    return ByteString.copyFrom(text, StandardCharsets.ISO_8859_1);
  }

  private static String lines(String... lines) {
    return String.join("\r\n", lines) + "\r\n";
  }

  private List<InvokeResponse> read(String text) throws BadAnswerException {
    return reader.read(bytes(text));
  }

  private static String body(List<InvokeResponse> parts) {
    ByteString body = ByteString.EMPTY;
    for (InvokeResponse part : parts) {
      body = body.concat(part.getBody());
    }
    return body.toString(StandardCharsets.ISO_8859_1);
  }

  private static List<String> headers(List<HttpHeader> headers) {
    return headers.stream().map(header -> header.getName() + "=" + header.getValue()).toList();
  }

  private void assertInvalid(String what, String text) {
    BadAnswerException e = assertThrows(BadAnswerException.class, () -> read(text));
    assertFalse(e.isBrokenOff());
    assertTrue(String.valueOf(e.getMessage()).contains(what), e.getMessage());
  }

  private void assertBrokenOff(String what) {
    BadAnswerException e = assertThrows(BadAnswerException.class, reader::end);
    assertTrue(e.isBrokenOff());
    assertEquals(what, e.getMessage());
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 7, 1_000})
  void anAnswerOfAKnownLengthEndsByThat(int piece) throws BadAnswerException {
    ByteString all =
        bytes(
            "HTTP/1.1 201 Made\r\nA: 1\r\nA: caf\u00e9\r\nContent-Length: 5\r\n\r\nhello, and more");
    List<InvokeResponse> parts = new ArrayList<>();
    for (int from = 0; from < all.size(); from += piece) {
      parts.addAll(reader.read(all.substring(from, Math.min(from + piece, all.size()))));
    }

    assertEquals(201, parts.getFirst().getHead().getStatus());
    assertEquals(
        List.of("A=1", "A=caf\u00e9", "Content-Length=5"),
        headers(parts.getFirst().getHead().getHeadersList()));
    assertEquals("hello", body(parts));
    assertTrue(parts.getLast().hasEnd());
    assertTrue(reader.isOver());
  }

  @Test
  void chunksAreJoinedAndTrailersKept() throws BadAnswerException {
    List<InvokeResponse> parts =
        read(
            lines(
                "HTTP/1.1 200 OK",
                "Transfer-Encoding: chunked",
                "Trailer: Sum",
                "",
                "3;x=y",
                "abc",
                "2",
                "de",
                "0",
                "Sum: 5",
                ""));

    assertEquals(List.of(), headers(parts.getFirst().getHead().getHeadersList()));
    assertEquals("abcde", body(parts));
    assertEquals(List.of("Sum=5"), headers(parts.getLast().getEnd().getTrailersList()));
  }

  @Test
  void oneWithoutALengthEndsWithItsConnection() throws BadAnswerException {
    assertEquals("all ", body(read("HTTP/1.0 200 OK\r\n\r\nall ")));
    assertEquals("of it", body(read("of it")));
    assertFalse(reader.isOver());

    assertTrue(reader.end().getLast().hasEnd());
  }

  @Test
  void linesMayEndAsThoseOfScriptsDo() throws BadAnswerException {
    List<InvokeResponse> parts = read("HTTP/1.1 200 OK\r\nA: 1\nContent-Length: 2\n\nok");

    assertEquals(
        List.of("A=1", "Content-Length=2"), headers(parts.getFirst().getHead().getHeadersList()));
    assertEquals("ok", body(parts));
  }

  @Test
  void whatIsTheConnectionsOwnIsDropped() throws BadAnswerException {
    List<InvokeResponse> parts =
        read(
            lines(
                "HTTP/1.1 204 None",
                "Connection: close, X-Hop",
                "X-Hop: 1",
                "Keep-Alive: 5",
                "Upgrade: h2c",
                "X-End: 2",
                ""));

    assertEquals(List.of("X-End=2"), headers(parts.getFirst().getHead().getHeadersList()));
    assertTrue(parts.getLast().hasEnd(), "204 has no body");
  }

  @Test
  void anAnswerToHeadHasNoBodyWhateverItSays() throws BadAnswerException {
    List<InvokeResponse> parts =
        new AnswerReader(true).read(bytes("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"));

    assertTrue(parts.getLast().hasEnd());
  }

  @Test
  void interimAnswersArePassedOver() throws BadAnswerException {
    List<InvokeResponse> parts =
        read("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: x\r\n\r\n");
    assertEquals(List.of(), parts);

    assertEquals(
        404, read("HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n").getFirst().getHead().getStatus());
  }

  @Test
  void endlessInterimAnswersAreTooMany() {
    assertInvalid(
        "more than 16", "HTTP/1.1 100 Continue\r\n\r\n".repeat(AnswerReader.MOST_INTERIM + 1));
  }

  @Test
  void endlessHeadersAreTooMany() {
    assertInvalid("65536", "HTTP/1.1 200 OK\r\n" + "A: aaaaaaaa\r\n".repeat(10_000));
  }

  @Test
  void anEndlessHeaderIsTooLong() {
    assertInvalid("65536", "HTTP/1.1 200 OK\r\nA: " + "a".repeat(100_000));
  }

  @Test
  void endlessTrailersAreTooMany() throws BadAnswerException {
    var _ = read("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n");
    assertInvalid("65536", "A: aaaaaaaa\r\n".repeat(10_000));
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "SSH-2.0-OpenSSH_9.2\r\n\r\n",
        "HTTP/1.1 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "HTTP/1.1 99 Low\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
      })
  void garbageIsNoAnswer(String text) {
    assertInvalid("", text);
  }

  @Test
  void anEndBeforeTheAnswersIsTold() throws BadAnswerException {
    assertBrokenOff("ended the connection without an answer");
  }

  @Test
  void anEndWithinTheHeadersIsTold() throws BadAnswerException {
    var _ = read("HTTP/1.1 200 OK\r\nA: ");
    assertBrokenOff("ended the connection within its answer's headers");
  }

  @Test
  void anEndWithinTheStatusLineIsTold() throws BadAnswerException {
    var _ = read("HTTP/1.1 20");
    assertBrokenOff("ended the connection without an answer");
  }

  @ParameterizedTest
  @ValueSource(strings = {"Content-Length: 10", "Transfer-Encoding: chunked"})
  void anEndWithinTheBodyIsTold(String length) throws BadAnswerException {
    var _ = read("HTTP/1.1 200 OK\r\n" + length + "\r\n\r\n5\r\nab");
    assertBrokenOff("ended the connection within its answer");
  }
}

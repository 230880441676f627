package dev.vireo.worker.http;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.protobuf.ByteString;
import dev.vireo.proto.v1.HttpHeader;
import dev.vireo.proto.v1.InvokeStart;
import java.nio.charset.StandardCharsets;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Requests as they are on the wire. */
class RequestWriterTest {
  private static InvokeStart start(String method, String... headers) {
    InvokeStart.Builder start = InvokeStart.newBuilder().setMethod(method).setPath("/a?b=c");
    for (int i = 0; i < headers.length; i += 2) {
      start.addHeaders(HttpHeader.newBuilder().setName(headers[i]).setValue(headers[i + 1]));
    }
    return start.build();
  }

  private static String text(ByteString bytes) {
    return bytes.toString(StandardCharsets.ISO_8859_1);
  }

  private static ByteString bytes(String text) {
    return ByteString.copyFromUtf8(text);
  }

  @Test
  void oneThatSaysNothingAsksForTheRoot() {
    RequestWriter request = new RequestWriter(InvokeStart.getDefaultInstance());

    assertTrue(request.begin().isEmpty(), "it may have a body yet");
    assertEquals(
        "GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n", text(request.end()));
  }

  @Test
  void aLengthThatIsKnownIsTold() {
    RequestWriter request = new RequestWriter(start("PUT", "content-length", "4", "Host", "h"));

    assertEquals(
        "PUT /a?b=c HTTP/1.1\r\ncontent-length: 4\r\nHost: h\r\nconnection: close\r\n\r\n",
        text(request.begin()));
    assertEquals("bo", text(request.body(bytes("bo"))));
    assertEquals("dy", text(request.body(bytes("dy"))));
    assertEquals("", text(request.end()));
  }

  @Test
  void aBodyOfUnknownLengthGoesInChunks() {
    RequestWriter request = new RequestWriter(start("POST"));

    assertEquals("", text(request.body(ByteString.EMPTY)));
    assertEquals(
        String.join(
            "\r\n",
            "POST /a?b=c HTTP/1.1",
            "host: localhost",
            "connection: close",
            "transfer-encoding: chunked",
            "",
            "4",
            "body",
            ""),
        text(request.body(bytes("body"))));
    assertEquals("1\r\n!\r\n", text(request.body(bytes("!"))));
    assertEquals("0\r\n\r\n", text(request.end()));
  }

  @Test
  void aPostWithoutABodySaysSo() {
    assertTrue(text(new RequestWriter(start("POST")).end()).contains("\r\ncontent-length: 0\r\n"));
  }

  @Test
  void whatIsTheConnectionsOwnIsDropped() {
    RequestWriter request =
        new RequestWriter(
            start(
                "GET",
                "Connection",
                "X-Hop, keep-alive",
                "x-hop",
                "1",
                "TE",
                "trailers",
                "Expect",
                "100-continue",
                "Transfer-Encoding",
                "chunked",
                "X-End",
                "\u00e9"));

    assertEquals(
        "GET /a?b=c HTTP/1.1\r\nX-End: \u00e9\r\nhost: localhost\r\nconnection: close\r\n\r\n",
        text(request.end()));
  }

  @ParameterizedTest
  @ValueSource(strings = {"a\r\nb: c", "a\nb"})
  void nothingCanBePutInBetween(String value) {
    assertThrows(IllegalArgumentException.class, () -> new RequestWriter(start("GET", "A", value)));
    assertThrows(
        IllegalArgumentException.class,
        () -> new RequestWriter(InvokeStart.newBuilder().setPath("/" + value).build()));
  }
}

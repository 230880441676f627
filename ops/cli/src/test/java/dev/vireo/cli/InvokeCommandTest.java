package dev.vireo.cli;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.vireo.proto.v1.HttpHeader;
import dev.vireo.proto.v1.InvokeStart;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * Requests to guests' HTTP servers: what goes there, what comes back, and what a script is told.
 */
final class InvokeCommandTest {
  private final FakeController controller = new FakeController();
  private final Cli cli = new Cli(controller);

  @AfterEach
  void close() {
    controller.close();
  }

  private InvokeStart start() {
    return controller.guest.web.start;
  }

  private List<String> headers() {
    return start().getHeadersList().stream()
        .map(header -> header.getName() + "=" + header.getValue())
        .toList();
  }

  @Test
  void everythingAboutTheRequestIsPassedOn() {
    assertEquals(
        0,
        cli.run(
            "invoke",
            "-X",
            "PUT",
            "-H",
            "A: 1:2 ",
            "-H",
            "B:",
            "-d",
            "body",
            "--port",
            "81",
            "--timeout",
            "90s",
            "fn",
            "/200?x=1"));

    assertEquals(
        InvokeStart.newBuilder()
            .setName("projects/default/microvms/fn")
            .setMethod("PUT")
            .setPath("/200?x=1")
            .addHeaders(HttpHeader.newBuilder().setName("A").setValue("1:2"))
            .addHeaders(HttpHeader.newBuilder().setName("B"))
            .addHeaders(HttpHeader.newBuilder().setName("Content-Length").setValue("4"))
            .setPort(81)
            .setTimeout(com.google.protobuf.Duration.newBuilder().setSeconds(90))
            .build(),
        start());
    assertEquals("body", cli.out());
  }

  @Test
  void aRequestWithoutABodyIsAGet() {
    assertEquals(0, cli.run("invoke", "fn", "/204"));
    assertEquals("", start().getMethod());
    assertEquals(List.of(), headers());
  }

  @Test
  void standardInputIsOfUnknownLength() {
    byte[] bytes = new byte[300_000];
    new Random(1).nextBytes(bytes);
    cli.with(new ByteArrayInputStream(bytes));

    assertEquals(0, cli.run("invoke", "-d", "@-", "fn", "/200"));

    assertArrayEquals(bytes, cli.bytes());
    assertEquals("POST", start().getMethod());
    assertEquals(List.of(), headers());
  }

  @Test
  void aFileIsOfItsLength(@TempDir Path directory) throws IOException {
    Path file = Files.writeString(directory.resolve("file"), "\n in it\n");

    assertEquals(0, cli.run("invoke", "-d", "@" + file, "fn", "/200"));

    assertEquals("\n in it\n", cli.out());
    assertEquals(List.of("Content-Length=8"), headers());
    assertEquals(125, cli.run("invoke", "-d", "@" + directory.resolve("none"), "fn"));
  }

  @Test
  void theHeadIsPrintedIfAskedFor() {
    assertEquals(0, cli.run("invoke", "-i", "-d", "body", "fn", "/201"));
    assertEquals(
        "HTTP/1.1 201\r\nServer: fake\r\n\r\nbody",
        new String(cli.bytes(), StandardCharsets.ISO_8859_1));
  }

  @Test
  void onATerminalAnAnswerIsMadeHarmless() {
    cli.onTerminal();
    assertEquals(0, cli.run("invoke", "-i", "-d", "a\u001b]0;title\u0007b", "fn", "/200-hostile"));
    assertEquals("HTTP/1.1 200\r\nServer: fake\r\n\r\nab", cli.out());
  }

  @Test
  void aBadStatusIsAnAnswerUnlessItIsToFail() {
    assertEquals(0, cli.run("invoke", "-d", "why", "fn", "/404"));
    assertEquals("why", cli.out());
    assertEquals(0, cli.run("invoke", "-f", "fn", "/399"));

    assertEquals(22, cli.run("invoke", "-f", "-d", "why", "fn", "/400"));
    assertTrue(cli.err().contains("status 400"), cli.err());
  }

  @Test
  void whatIsNotAnsweredIsAFailureOfVireos() {
    assertEquals(125, cli.run("invoke", "fn", "/deaf"));
    assertTrue(cli.err().contains("PORT_REFUSED"), cli.err());
    assertEquals(125, cli.run("invoke", "fn", "/200-vanish"));
    assertEquals(125, cli.run("invoke", "-H", "no colon", "fn"));
  }
}

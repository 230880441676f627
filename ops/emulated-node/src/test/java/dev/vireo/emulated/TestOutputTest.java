package dev.vireo.emulated;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.util.Base64;
import java.util.zip.GZIPOutputStream;
import org.junit.jupiter.api.Test;

class TestOutputTest {
  private final ByteArrayOutputStream seen = new ByteArrayOutputStream();
  private final TestOutput output = new TestOutput(new PrintStream(seen, true, UTF_8));

  private static String packed(String report) throws IOException {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    try (var gzip = new GZIPOutputStream(bytes)) {
      gzip.write(report.getBytes(UTF_8));
    }
    return Base64.getMimeEncoder(20, new byte[] {'\n'}).encodeToString(bytes.toByteArray());
  }

  private void read(String text) throws IOException {
    output.readFrom(new ByteArrayInputStream(text.getBytes(UTF_8)));
  }

  @Test
  void thePartForPeopleAndTheReportAreToldApart() throws Exception {
    read("one :: STARTED\r\ntwo\r\n" + TestOutput.MARK + "\r\n" + packed("<ü>\n</ü>\n") + "\n");

    assertEquals("<ü>\n</ü>\n", output.report());
    assertEquals("one :: STARTED\ntwo\n", seen.toString(UTF_8));
  }

  @Test
  void noReportAndHalfOfOneAreNone() throws Exception {
    read("one :: STARTED\n");
    assertNoReport();

    String whole = packed("<testsuite/>");
    read(TestOutput.MARK + "\n" + whole.substring(0, whole.length() / 2));
    assertNoReport();
  }

  private void assertNoReport() {
    var failure = assertThrows(EmulatedNodeException.class, output::report);
    assertEquals(EmulatedNodeException.Reason.MACHINE_FAILED, failure.reason());
  }
}

package dev.vireo.vmm.virtio.vsock;

import static java.nio.charset.StandardCharsets.US_ASCII;
import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class ConnectCommandTest {
  private static long port(String line) {
    byte[] bytes = (line + "999").getBytes(US_ASCII);
    return ConnectCommand.port(bytes, line.length());
  }

  @ParameterizedTest
  @CsvSource({
    "CONNECT 52, 52",
    "connect 0, 0",
    "CONNECT 4294967295, 4294967295",
    "CONNECT 00000000000052, 52",
    "'CONNECT \t 52 \r', 52"
  })
  void namesAPort(String line, long port) {
    assertEquals(port, port(line));
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "",
        "CONNECT",
        "CONNECT ",
        "CONNECT52",
        "CONNEC 52",
        "CONNECT x",
        "CONNECT 5x",
        "CONNECT -1",
        "CONNECT 5 2",
        "CONNECT 4294967296",
        "CONNECT 99999999999999999999",
        " CONNECT 52",
        "GET / 1"
      })
  void otherwiseItIsNone(String line) {
    assertEquals(-1, port(line));
  }
}

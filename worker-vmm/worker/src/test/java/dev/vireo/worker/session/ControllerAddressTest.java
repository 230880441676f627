package dev.vireo.worker.session;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class ControllerAddressTest {
  @Test
  void knowsHostsAndSockets() {
    assertEquals(
        new ControllerAddress.Tcp("10.0.2.2", 7420), ControllerAddress.parse("10.0.2.2:7420"));
    assertEquals(new ControllerAddress.Tcp("::1", 80), ControllerAddress.parse("[::1]:80"));
    assertEquals(
        new ControllerAddress.Unix(Path.of("/run/vireo.sock")),
        ControllerAddress.parse("unix:/run/vireo.sock"));
  }

  @ParameterizedTest
  @ValueSource(strings = {"", "host", "host:", ":1", "host:65536", "::1:80", "unix:", "http://h:1"})
  void refusesTheRest(String text) {
    assertThrows(IllegalArgumentException.class, () -> ControllerAddress.parse(text));
  }
}

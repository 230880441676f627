package dev.vireo.emulated;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Map;
import org.junit.jupiter.api.Test;

/** The outer machine's shell gets the worker's arguments as they were given. */
class NodeScriptTest {
  @Test
  void theWorkerDialsTheHostsLoopback() {
    String script = new NodeScript("emulated-1", 7420, Map.of()).text();

    assertTrue(script.contains(" --controller 10.0.2.2:7420\n"), script);
    assertTrue(script.contains(" --node-id 'emulated-1' "), script);
  }

  @Test
  void aLabelIsNeverCode() {
    String script = new NodeScript("n", 1, Map.of("owner", "o'neill; reboot")).text();

    assertTrue(script.endsWith(" --label 'owner=o'\\''neill; reboot'\n"), script);
    assertEquals(3, script.lines().count());
  }
}

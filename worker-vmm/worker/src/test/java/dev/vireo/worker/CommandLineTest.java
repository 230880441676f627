package dev.vireo.worker;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.vireo.worker.CommandLine.UsageException;
import dev.vireo.worker.session.ControllerAddress;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class CommandLineTest {
  private static WorkerOptions options(String... arguments) throws UsageException {
    return WorkerOptions.of(
        CommandLine.parse(arguments, List.of("run"), WorkerOptions.WITH_VALUE, WorkerOptions.FLAGS),
        Map.of("VIREO_STATE_DIR", "/state"));
  }

  @Test
  void hasDefaultsForAll() throws Exception {
    WorkerOptions options = options("--node-id", "n1");
    assertEquals(List.of(new ControllerAddress.Tcp("127.0.0.1", 7420)), options.controllers());
    assertEquals(Path.of("/state/worker/n1"), options.stateDirectory());
    assertEquals(2, options.poolSize());
    assertEquals(128, options.cpuOvercommit());
    assertEquals(Map.of(), options.labels());
  }

  @Test
  void takesValuesInBothWays() throws Exception {
    WorkerOptions options =
        options(
            "run",
            "--node-id=n1",
            "--controller",
            "unix:/run/c.sock",
            "--controller=one:1,two:2",
            "--state-dir",
            "/elsewhere",
            "--pool=200",
            "--label",
            "zone=a",
            "--label=disk=ssd=fast",
            "--emulated",
            "--vmm",
            "/opt/vmm");
    assertEquals(
        List.of(
            new ControllerAddress.Unix(Path.of("/run/c.sock")),
            new ControllerAddress.Tcp("one", 1),
            new ControllerAddress.Tcp("two", 2)),
        options.controllers());
    assertEquals(Path.of("/elsewhere/worker/n1"), options.stateDirectory());
    assertEquals(200, options.poolSize());
    assertEquals(Map.of("zone", "a", "disk", "ssd=fast"), options.labels());
    assertEquals(Path.of("/opt/vmm"), options.vmmHome());
    assertTrue(options.emulated());
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "--node-id=../x",
        "--node-id=UPPER",
        "--node-id=",
        "--pool=-1",
        "--pool=many",
        "--pool=10001",
        "--pool",
        "--label=x",
        "--label==y",
        "--unknown=1",
        "--emulated=yes",
        "--controller=nowhere",
        "fly"
      })
  void refusesWhatIsWrong(String argument) {
    assertThrows(UsageException.class, () -> options(argument));
  }
}

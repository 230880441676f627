package dev.vireo.emulated;

import java.util.List;
import java.util.Map;
import java.util.StringJoiner;

/**
 * The job of a node: the real worker, on the files of {@link NodeDisk}, dialing a controller on the
 * host's loopback.
 *
 * @param controllerPort on the host
 * @param labels of the node
 */
record NodeScript(String nodeId, int controllerPort, Map<String, String> labels) {
  /** QEMU's user network: the host's loopback. */
  private static final String HOST = "10.0.2.2";

  /** Measured: interpreting beats compiling for a program that starts, does little, and waits. */
  private static final List<String> JVM_FLAGS =
      List.of(
          "-Xint",
          "-XX:+UseSerialGC",
          "-XX:-UsePerfData",
          "-Xmx128m",
          "-Djnr.ffi.x86asm.enabled=false",
          "--enable-native-access=ALL-UNNAMED",
          "--sun-misc-unsafe-memory-access=allow");

  NodeScript {
    labels = Map.copyOf(labels);
  }

  /** For the outer machine's shell. */
  String text() {
    StringJoiner worker = new StringJoiner(" ", "exec java ", "\n");
    JVM_FLAGS.forEach(worker::add);
    worker.add("-cp '/job/worker/lib/*' dev.vireo.worker.Main");
    worker.add("--emulated --node-id " + quoted(nodeId));
    worker.add("--controller %s:%d".formatted(HOST, controllerPort));
    worker.add("--vmm /job/vmm");
    labels.forEach((key, value) -> worker.add("--label " + quoted(key + "=" + value)));
    return """
    export VIREO_CACHE_DIR=/job/cache VIREO_STATE_DIR=/var/lib/vireo
    mkdir -p /var/lib/vireo
    """
        + worker;
  }

  private static String quoted(String text) {
    return "'" + text.replace("'", "'\\''") + "'";
  }
}

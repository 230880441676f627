package dev.vireo.emulated;

import java.util.List;
import java.util.Map;
import java.util.StringJoiner;

/**
 * The job of a node: the real worker, on the files of {@link NodeDisk}, dialing a controller on the
 * host's loopback. One that is killed is started again, as a service manager does: its microVMs go
 * on meanwhile. One that ends by itself ends the node.
 *
 * @param controllerPorts on the host
 * @param labels of the node
 */
record NodeScript(String nodeId, List<Integer> controllerPorts, Map<String, String> labels) {
  /** QEMU's user network: the host's loopback. */
  private static final String HOST = "10.0.2.2";

  NodeScript {
    controllerPorts = List.copyOf(controllerPorts);
    labels = Map.copyOf(labels);
  }

  /** For the outer machine's shell. */
  String text() {
    StringJoiner worker = new StringJoiner(" ");
    worker.add(WorkerProgram.command());
    // A VMM that starts takes the one CPU from the guest that was asked for: one in reserve is
    // enough.
    worker.add("--emulated --pool 1 --vmm /job/" + NodeDisk.VMM);
    worker.add("--node-id " + quoted(nodeId));
    controllerPorts.forEach(port -> worker.add("--controller %s:%d".formatted(HOST, port)));
    labels.forEach((key, value) -> worker.add("--label " + quoted(key + "=" + value)));
    return """
    export VIREO_CACHE_DIR=/job/%s VIREO_STATE_DIR=/var/lib/vireo
    # This machine is the node's alone, so what its operator would allow is allowed.
    echo 1 > /proc/sys/net/ipv4/ip_forward
    cd /job/%s
    until
      %s
      status=$?
      [ $status -le 128 ]
    do
      echo "the worker was killed, status $status; starting it again"
    done
    exit $status
    """
        .formatted(NodeDisk.CACHE, NodeDisk.WORKER, worker);
  }

  private static String quoted(String text) {
    return "'" + text.replace("'", "'\\''") + "'";
  }
}

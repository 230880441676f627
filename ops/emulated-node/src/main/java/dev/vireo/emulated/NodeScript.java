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

  /**
   * The cache of container images: the disk's own, which is read-only, and what is loaded later.
   */
  private static final String IMAGES = "/var/lib/vireo/images-oci";

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
    worker.add("--oci /job/%s --container-images %s".formatted(NodeDisk.OCI, IMAGES));
    worker.add("--node-id " + quoted(nodeId));
    controllerPorts.forEach(port -> worker.add("--controller %s:%d".formatted(HOST, port)));
    labels.forEach((key, value) -> worker.add("--label " + quoted(key + "=" + value)));
    return """
    export VIREO_CACHE_DIR=/job/%1$s VIREO_STATE_DIR=/var/lib/vireo
    # This machine is the node's alone, so what its operator would allow is allowed.
    echo 1 > /proc/sys/net/ipv4/ip_forward
    if [ -d /job/%1$s/%2$s ]; then
      mkdir -p %3$s
      cp -r /job/%1$s/%2$s/names %3$s
      for image in /job/%1$s/%2$s/sha256-*; do
        mkdir %3$s/${image##*/}
        cp $image/image.properties %3$s/${image##*/}
        ln -s $image/root.squashfs %3$s/${image##*/}
      done
    fi
    cd /job/%4$s
    until
      %5$s
      status=$?
      [ $status -le 128 ]
    do
      echo "the worker was killed, status $status; starting it again"
    done
    exit $status
    """
        .formatted(NodeDisk.CACHE, NodeDisk.CONTAINER_IMAGES, IMAGES, NodeDisk.WORKER, worker);
  }

  private static String quoted(String text) {
    return "'" + text.replace("'", "'\\''") + "'";
  }
}

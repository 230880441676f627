package dev.vireo.systemtests;

import dev.vireo.proto.v1.Architecture;
import java.io.IOException;
import java.time.Duration;

/**
 * The shell that a guest's init offers on its virtio console, as somebody has it who comes to the
 * console's socket on the node.
 *
 * @param socket on the node
 */
record GuestShell(LinuxCluster cluster, Architecture architecture, String socket) {
  private static final String ANSWER = "answer is ";

  /** Types a command that prints one line; waits for it. */
  String answer(String command) throws IOException {
    // The terminal echoes what is typed: there the words are not beside each other.
    String printed =
        cluster.askNode(
            architecture,
            "cd /tmp && { %s; cat shown; }"
                .formatted(
                    typing(
                        socket,
                        "echo \"answer\" \"is $(%s)\"".formatted(command),
                        ANSWER,
                        LinuxCluster.PATIENCE)));
    return printed
        .lines()
        .filter(line -> line.startsWith(ANSWER))
        .map(line -> line.substring(ANSWER.length()).strip())
        .findFirst()
        .orElseThrow();
  }

  /**
   * What a shell of the node runs to type a command, and to wait until a line begins with {@code
   * last}, or nobody is there any more; what was shown is then in the file {@code shown}.
   */
  static String typing(String socket, String command, String last, Duration patience) {
    return """
    rm -f typed shown && mkfifo typed && > shown
    timeout %d chroot %s socat - UNIX-CONNECT:%s < typed > shown &
    exec 4> typed
    echo '%s' >&4
    until grep -q '^%s' shown || ! kill -0 $!; do sleep 1; done
    exec 4>&-
    wait $!\
    """
        .formatted(patience.toSeconds(), LinuxCluster.TOOLS, socket, command, last);
  }
}

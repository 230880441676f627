package dev.vireo.vmm.virtio.vsock;

/**
 * What a process of the host says first: {@code CONNECT <port>}, in a line of its own. Firecracker
 * and Cloud Hypervisor understand the same.
 */
final class ConnectCommand {
  /** Longer lines are none: the longest that makes sense has 20. */
  static final int MAX_BYTES = 32;

  private static final String WORD = "connect";
  private static final long MAX_PORT = 0xffff_ffffL;

  private ConnectCommand() {}

  /**
   * The port that a line asks for, or −1 if it is no such line.
   *
   * @param length bytes of the line, without its line feed
   */
  static long port(byte[] line, int length) {
    int at = 0;
    for (; at < WORD.length(); at++) {
      if (at == length || Character.toLowerCase(line[at]) != WORD.charAt(at)) {
        return -1;
      }
    }
    int number = skipBlanks(line, at, length);
    if (number == at) {
      return -1;
    }
    long port = 0;
    for (at = number; at < length && line[at] >= '0' && line[at] <= '9'; at++) {
      port = port * 10 + (line[at] - '0');
      if (port > MAX_PORT) {
        return -1;
      }
    }
    return at > number && skipBlanks(line, at, length) == length ? port : -1;
  }

  private static int skipBlanks(byte[] line, int from, int length) {
    int at = from;
    while (at < length && (line[at] == ' ' || line[at] == '\t' || line[at] == '\r')) {
      at++;
    }
    return at;
  }
}

package dev.vireo.worker.network;

import static java.nio.charset.StandardCharsets.US_ASCII;

import dev.vireo.worker.state.AtomicFile;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Map;
import java.util.OptionalInt;
import java.util.Set;

/**
 * The addresses of this node's guests. The first of the network is the gateway of all of them. One
 * that was given back is given out again only after all others have been: whoever still speaks to
 * it does not mean its next owner. Not thread-safe.
 */
final class AddressPool {
  /** The network's own address and the gateway's; at the other end, the broadcast address. */
  private static final int BEFORE_GUESTS = 2;

  private static final int AFTER_GUESTS = 1;

  private final Ipv4Network network;
  private final Path next;
  private final Map<String, Integer> byUid = new HashMap<>();

  /**
   * @param next file that says where to go on; a successor in the same place goes on there, too
   */
  AddressPool(Ipv4Network network, Path next) {
    this.network = network;
    this.next = next;
  }

  Ipv4Network network() {
    return network;
  }

  int gateway() {
    return network.address() + 1;
  }

  /** The microVM's own address, the same until it is released; empty: all are in use. */
  OptionalInt assign(String uid) throws IOException {
    Integer before = byUid.get(uid);
    if (before != null) {
      return OptionalInt.of(before);
    }
    long count = network.size() - BEFORE_GUESTS - AFTER_GUESTS;
    Set<Integer> used = new HashSet<>(byUid.values());
    long start = offsetToGoOnWith(count);
    for (long i = 0; i < count; i++) {
      long offset = (start + i) % count;
      int address = network.address() + BEFORE_GUESTS + (int) offset;
      if (used.add(address)) {
        String following = Ipv4Network.text(address + 1);
        AtomicFile.write(next, (following + "\n").getBytes(US_ASCII));
        byUid.put(uid, address);
        return OptionalInt.of(address);
      }
    }
    return OptionalInt.empty();
  }

  private long offsetToGoOnWith(long count) {
    try {
      int address = Ipv4Network.parse(Files.readString(next, US_ASCII).strip()).address();
      long offset = Integer.toUnsignedLong(address) - Integer.toUnsignedLong(network.address());
      return offset < BEFORE_GUESTS || offset >= BEFORE_GUESTS + count ? 0 : offset - BEFORE_GUESTS;
    } catch (IOException | IllegalArgumentException e) {
      return 0; // There is none yet, or another pool's.
    }
  }

  /** Counts one that an earlier worker has assigned, of whichever pool it had. */
  void count(String uid, int address) {
    byUid.put(uid, address);
  }

  void release(String uid) {
    byUid.remove(uid);
  }
}

package dev.vireo.worker.microvm;

import dev.vireo.proto.v1.MicroVmSpec;
import java.util.HashMap;
import java.util.Map;

/**
 * The vsock context ids of this node's microVMs. One that the node chooses is no other microVM's;
 * one that a spec names is taken as it is, since unix sockets keep guests apart whatever their
 * number. Thread-safe.
 */
public final class ContextIds {
  /** 0 to 2 have a meaning of their own (VIRTIO 1.2, section 5.10.4). */
  private static final int FIRST = 3;

  private final Map<String, Integer> byUid = new HashMap<>();

  /**
   * The id of the guest of a microVM with a vsock device, the same in all its runs.
   *
   * @param before that of an earlier run; 0: there was none
   */
  synchronized int assign(String uid, MicroVmSpec spec, int before) {
    int wanted = spec.getVsock().getCid();
    if (wanted == 0) {
      wanted = before;
    }
    if (wanted == 0) {
      wanted = FIRST;
      while (byUid.containsValue(wanted)) {
        wanted++;
      }
    }
    byUid.put(uid, wanted);
    return wanted;
  }

  /** Counts what an earlier worker has assigned; 0: nothing. */
  synchronized void count(String uid, int cid) {
    if (cid != 0) {
      byUid.put(uid, cid);
    }
  }

  synchronized void release(String uid) {
    byUid.remove(uid);
  }
}

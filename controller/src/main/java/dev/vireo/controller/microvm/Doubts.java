package dev.vireo.controller.microvm;

import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.Iterator;
import java.util.List;
import java.util.Map;

/**
 * The microVMs of which a commit has failed and may have been done all the same, or may yet be. It
 * can be until the store has answered a commit that was begun later ({@code EtcdStore}, "a lost
 * answer"): then the image shows what became of it.
 */
final class Doubts {
  /** By uid: how many commits had been begun when the last of its own failed. */
  private final Map<String, Long> begunBefore = new HashMap<>();

  private long begun;

  /** A commit is begun; its number is the answer. */
  synchronized long begin() {
    return ++begun;
  }

  /** It is not known whether a commit about these microVMs was done. */
  synchronized void add(Collection<String> uids) {
    uids.forEach(uid -> begunBefore.put(uid, begun));
  }

  /**
   * The store has answered a commit: done, or refused.
   *
   * @return the microVMs that are in doubt no more
   */
  synchronized List<String> answered(long commit) {
    List<String> certain = new ArrayList<>();
    for (Iterator<Map.Entry<String, Long>> all = begunBefore.entrySet().iterator();
        all.hasNext(); ) {
      Map.Entry<String, Long> doubt = all.next();
      if (doubt.getValue() < commit) {
        certain.add(doubt.getKey());
        all.remove();
      }
    }
    return certain;
  }

  synchronized boolean contains(String uid) {
    return begunBefore.containsKey(uid);
  }

  synchronized boolean isEmpty() {
    return begunBefore.isEmpty();
  }
}

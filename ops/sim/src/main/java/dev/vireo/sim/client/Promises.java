package dev.vireo.sim.client;

import java.util.HashSet;
import java.util.Set;

/** What clients were answered, which holds whatever happens afterwards. */
public final class Promises {
  private final Set<String> created = new HashSet<>();
  private final Set<String> mayGo = new HashSet<>();
  private int unfinished;
  private int beyondQuota;

  /** A create was answered with this uid. */
  void created(String uid, boolean hasTimeToLive) {
    created.add(uid);
    if (hasTimeToLive) {
      mayGo.add(uid);
    }
  }

  /** Whether some create was answered with this uid. */
  boolean isKnown(String uid) {
    return created.contains(uid);
  }

  /** A delete is about to be asked for. */
  void mayGo(String uid) {
    mayGo.add(uid);
  }

  void begun() {
    unfinished++;
  }

  void finished() {
    unfinished--;
  }

  /** Whether it has been answered for, and nobody wanted it gone. */
  public boolean holds(String uid) {
    return created.contains(uid) && !mayGo.contains(uid);
  }

  /** How many microVMs were promised. */
  public int count() {
    return created.size();
  }

  /** A create was answered with what its project's quota has no room for. */
  void refusedBeyondQuota() {
    beyondQuota++;
  }

  /** How many creates were refused for the sake of a quota. */
  public int beyondQuota() {
    return beyondQuota;
  }

  /** Operations whose clients still try. */
  public int unfinished() {
    return unfinished;
  }
}

package dev.vireo.controller.store;

import java.util.ArrayList;
import java.util.Collection;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * All entries under a prefix at one moment, by key.
 *
 * @param version of the last commit that it contains
 * @param oldestVersion the least version that a watch can start after: what was deleted before it
 *     is forgotten
 */
public record Listing(List<Entry> entries, long version, long oldestVersion) {
  public Listing {
    entries = List.copyOf(entries);
  }

  /**
   * What must have changed since an image was right that has these entries, as a watch would have
   * told it.
   */
  public List<Change> changesSince(Collection<Entry> image) {
    Map<String, Entry> before = new HashMap<>();
    image.forEach(entry -> before.put(entry.key(), entry));
    List<Change> changes = new ArrayList<>();
    for (Entry now : entries) {
      Entry known = before.remove(now.key());
      if (known != null && known.createdVersion() != now.createdVersion()) {
        changes.add(new Change.Deleted(now.key(), known.value(), now.createdVersion() - 1));
      }
      if (known == null || known.version() != now.version()) {
        changes.add(new Change.Updated(now));
      }
    }
    before
        .values()
        .forEach(gone -> changes.add(new Change.Deleted(gone.key(), gone.value(), version)));
    changes.sort(Comparator.comparingLong(Change::version));
    return changes;
  }
}

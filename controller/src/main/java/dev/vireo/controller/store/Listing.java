package dev.vireo.controller.store;

import java.util.List;

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
}

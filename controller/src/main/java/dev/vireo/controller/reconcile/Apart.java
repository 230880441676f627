package dev.vireo.controller.reconcile;

import dev.vireo.controller.store.StoreException;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import org.jboss.logging.Logger;

/**
 * Does for one what is to be done for many. A change that no commit takes, for the record is of an
 * earlier release, which let in more, holds up none of the others, and is told of once.
 */
final class Apart {
  private static final Logger LOG = Logger.getLogger(Apart.class);

  /** Of whom it was told. There are few, and no more come. */
  private final Set<String> told = ConcurrentHashMap.newKeySet();

  /**
   * @param subject a microVM's uid, or another name of what is changed
   */
  void run(String subject, Runnable change) {
    try {
      change.run();
      told.remove(subject);
    } catch (StoreException.TooLarge e) {
      if (told.add(subject)) {
        LOG.errorf("too large to be changed: %s: %s", subject, e.getMessage());
      }
    }
  }
}

package dev.vireo.cli;

import dev.vireo.proto.v1.ConsoleSize;
import java.util.Optional;

/** The terminal that standard input comes from, if it does. */
public interface Terminal {
  /** There is none. */
  Terminal NONE =
      new Terminal() {
        @Override
        public boolean isThere() {
          return false;
        }

        @Override
        public Optional<ConsoleSize> size() {
          return Optional.empty();
        }

        @Override
        public Cleanup.Task makeRaw() {
          return () -> {};
        }
      };

  boolean isThere();

  /** Its size in characters, if it says so. */
  Optional<ConsoleSize> size();

  /**
   * Passes every key on as it is typed, also Ctrl-C, and shows none by itself.
   *
   * @return makes it as it was
   */
  Cleanup.Task makeRaw();
}

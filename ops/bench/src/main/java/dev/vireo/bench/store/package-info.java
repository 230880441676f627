/** What the stores can commit, side by side: {@code vireo bench store}. */
@NullMarked
package dev.vireo.bench.store;

import org.jspecify.annotations.NullMarked;

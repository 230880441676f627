/** {@code vireo bench scheduler}: what a decision of the scheduler takes. */
@NullMarked
package dev.vireo.bench.placement;

import org.jspecify.annotations.NullMarked;

/**
 * A world of its own: one thread, a clock that jumps from event to event, and virtual threads whose
 * turns a seeded random decides. What runs in it is the same for a seed each time.
 */
@NullMarked
package dev.vireo.sim.kernel;

import org.jspecify.annotations.NullMarked;

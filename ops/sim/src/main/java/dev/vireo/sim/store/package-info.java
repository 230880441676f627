/** What controllers keep: a disk that outlives them, which can be full or slow. */
@NullMarked
package dev.vireo.sim.store;

import org.jspecify.annotations.NullMarked;

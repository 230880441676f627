/** Connections between processes: late, cut, half open. */
@NullMarked
package dev.vireo.sim.network;

import org.jspecify.annotations.NullMarked;

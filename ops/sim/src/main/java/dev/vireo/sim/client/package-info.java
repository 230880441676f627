/** Clients, what they were promised, and whether it holds. */
@NullMarked
package dev.vireo.sim.client;

import org.jspecify.annotations.NullMarked;

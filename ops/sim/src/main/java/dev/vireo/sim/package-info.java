/**
 * {@code vireo sim}: the control plane on a simulated clock and network (deterministic simulation
 * testing). The controller's and the worker's classes are the real ones; what touches the world is
 * made here: the store's disk, connections, VMMs, clocks and threads. A seed decides all that is
 * not decided otherwise, so a failure can be seen again as often as one likes.
 */
@NullMarked
package dev.vireo.sim;

import org.jspecify.annotations.NullMarked;

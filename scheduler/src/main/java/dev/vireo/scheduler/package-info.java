/**
 * Where a microVM goes: filters that refuse nodes with a reason, scores that rank the rest, and the
 * ledger of what nodes have been promised. Pure: no I/O, no clock, no randomness; the same input
 * gives the same decision.
 *
 * <p>{@link dev.vireo.scheduler.Scheduler} is the entrance. It looks at each node of the snapshot
 * that it is given; an index over nodes can come behind the same method.
 */
@NullMarked
package dev.vireo.scheduler;

import org.jspecify.annotations.NullMarked;

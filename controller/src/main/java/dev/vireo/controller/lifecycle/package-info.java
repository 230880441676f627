/**
 * A microVM's life, as pure functions: what each event (a decision of the scheduler, a report of a
 * worker, a client's wish) makes of its record. No I/O, no clock.
 *
 * <p>{@link dev.vireo.controller.lifecycle.Transitions} is the one table of legal states; {@code
 * LIFECYCLE.md} in this module shows it to people, and a test keeps the two the same.
 */
@NullMarked
package dev.vireo.controller.lifecycle;

import org.jspecify.annotations.NullMarked;

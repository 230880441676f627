/**
 * What makes the world as the records say, and the records as the world is.
 *
 * <p>{@link dev.vireo.controller.reconcile.Reports} turns workers' words into records; {@link
 * dev.vireo.controller.reconcile.PendingMicroVms} finds nodes for those that have none; {@link
 * dev.vireo.controller.reconcile.Deadlines} ends what has lived long enough. The other direction,
 * from record to worker, is {@code session}'s.
 */
@NullMarked
package dev.vireo.controller.reconcile;

import org.jspecify.annotations.NullMarked;

/**
 * The controller's side of {@code vireo.worker.v1}: one stream for each worker.
 *
 * <p>Level-triggered: a session is told only <em>that</em> a microVM has changed, reads then what
 * its node should make of it, and sends that unless it has sent the same before. Messages in are
 * handed on without blocking; messages out are sent by one virtual thread, which waits for a slow
 * worker and nobody else does.
 */
@NullMarked
package dev.vireo.controller.session;

import org.jspecify.annotations.NullMarked;

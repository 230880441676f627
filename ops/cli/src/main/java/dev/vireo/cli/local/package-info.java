/**
 * Daemons on this machine: a controller, a worker, emulated nodes. {@code vireo up}, {@code down},
 * {@code node add --emulated}.
 *
 * <pre>
 * &lt;state-dir&gt;/
 *   daemons/&lt;name&gt;/     process (who it is), log
 *   programs/&lt;build&gt;/   copies of what runs, so that a rebuild does not pull it from under a daemon
 *   controller/, worker/&lt;node-id&gt;/   the daemons' own
 * </pre>
 *
 * <p>Without root the worker, and so its VMMs, are in a user and network namespace that the daemon
 * {@code network} holds and {@code network-pasta} connects; each of the three can be started again
 * by itself.
 */
@NullMarked
package dev.vireo.cli.local;

import org.jspecify.annotations.NullMarked;

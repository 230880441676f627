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
 */
@NullMarked
package dev.vireo.cli.local;

import org.jspecify.annotations.NullMarked;

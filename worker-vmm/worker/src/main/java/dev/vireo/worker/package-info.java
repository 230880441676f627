/**
 * The node daemon. It dials a controller, makes the desired state that it is told true, and reports
 * what is.
 *
 * <p>From top to bottom: {@code session} speaks with the controller; {@code agent} with guests'
 * agents for clients; {@code image} lets them load and remove container images; {@code microvm}
 * holds one state machine per microVM; {@code boot} turns a spec into open files; {@code vmm} owns
 * the VMM processes, which outlive the worker; {@code tracing} is told how a launch comes on;
 * {@code state} is what remains on disk between two workers:
 *
 * <pre>
 * &lt;state-dir&gt;/worker/&lt;node-id&gt;/
 *   lock                 held by the one worker of this directory
 *   node-uid             made once
 *   vmms/&lt;id&gt;/           one VMM process: record, control.sock, exit-record, vmm.log
 *   microvms/&lt;uid&gt;/      one microVM: record, console.log, disk-&lt;id&gt;.raw (private copies)
 *   archives/            archives of images that clients are sending; emptied at start
 * </pre>
 */
@NullMarked
package dev.vireo.worker;

import org.jspecify.annotations.NullMarked;

/**
 * The node daemon. It dials a controller, makes the desired state that it is told true, and reports
 * what is.
 *
 * <p>From top to bottom: {@code session} speaks with the controller; {@code image} lets clients
 * load and remove container images; {@code microvm} holds one state machine per microVM; {@code
 * agent} speaks with guests' agents, for clients and for containers, and by {@code http} with
 * servers of theirs; {@code container} has a container's image and process; {@code metadata} tells
 * guests of themselves; {@code doctor} says what this host can do, and what to do about what it
 * cannot; {@code network} routes and filters, with {@code network.dns} for rules by name; {@code
 * boot} turns a spec into open files; {@code node} is what this machine is; {@code vmm} owns the
 * VMM processes, which outlive the worker; {@code cgroup} holds them to their limits; {@code log}
 * is what guests have written; {@code tracing} is told how a launch comes on; {@code time} is
 * passed in; {@code state} is what remains on disk between two workers:
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

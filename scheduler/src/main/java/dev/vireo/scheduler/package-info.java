/**
 * Where a microVM goes: filters that refuse nodes with a reason, scores that rank the rest, and the
 * ledger of what nodes have been promised. Pure: no I/O, no clock, no randomness; the same input
 * gives the same decision.
 *
 * <p>{@link dev.vireo.scheduler.Scheduler} is the entrance, {@link dev.vireo.scheduler.Cluster}
 * what it looks at. A decision costs as much as there are kinds of nodes and cells of about equal
 * use, not as there are nodes: filters are asked once for a kind ({@link
 * dev.vireo.scheduler.NodeKind}), scores are bounded for a cell, and only the cells that may hold
 * the best node are opened. It is exact all the same: the answer is that of a scan.
 *
 * <p>Which container images a node has is known for each node ({@link
 * dev.vireo.scheduler.ContainerImages}): those that have the request's are looked at one by one
 * beside the index ({@link dev.vireo.scheduler.Locality}). Of an image that more than 16 nodes have
 * it is 16, others each time, and the best of all nodes; in this alone is a decision not a scan's.
 *
 * <p>What depends on where other microVMs are ({@link dev.vireo.scheduler.PeerRule}) is found out
 * once for a decision, from an index by their labels. By a label of nodes it is as any other
 * filter; by node, the search passes over the nodes that are shut, or looks only at those that are
 * open.
 */
@NullMarked
package dev.vireo.scheduler;

import org.jspecify.annotations.NullMarked;

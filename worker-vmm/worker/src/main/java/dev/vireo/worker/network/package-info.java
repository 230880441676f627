/**
 * Routed networks: a microVM's address, the interface that it is behind, and the packet filter that
 * says what it may reach and where it is reached.
 *
 * <p>There is no bridge: each guest has an interface of its own, a /32 on it, and the first address
 * of the pool as its gateway, which all those interfaces have. So there is no layer 2 between
 * guests, and all that one sends goes through the node's routing and, before that, through rules
 * that are there before the interface is up. The rules are the kernel's: they outlive this process.
 *
 * <p>What a {@link dev.vireo.worker.network.RoutedNetworks} holds is in the microVMs' records, so
 * that a restarted worker has it again. Nothing of the node is set that does not go with an
 * interface or with the table of rules.
 *
 * <p>Whether the network namespace is the machine's or a user's own, which pasta(1) connects, only
 * {@link dev.vireo.worker.network.PastaPorts} knows.
 */
@NullMarked
package dev.vireo.worker.network;

import org.jspecify.annotations.NullMarked;

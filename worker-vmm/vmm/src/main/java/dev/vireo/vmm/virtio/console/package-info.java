/**
 * virtio-console (VIRTIO 1.2, section 5.3): ports, of which some are consoles of the guest and the
 * others pipes of bytes, each a unix stream socket on the host.
 *
 * <p>The VMM opens nothing: it is given a listening socket for each port, and accepts from it
 * whether a worker lives or not. A port has one client at a time. Others wait in the socket's
 * backlog until it has closed and the guest has taken what it sent, as with QEMU.
 *
 * <p>Nothing here grows without bound, and between a guest and a client that both take what they
 * are sent nothing is lost:
 *
 * <ul>
 *   <li>To the guest: no more is read from a client than the guest has given buffers for.
 *   <li>From the guest, by a pipe: what the client does not take stays in the guest's ring. What is
 *       sent while there is no client is dropped; the guest knows from PORT_OPEN that there is
 *       none.
 *   <li>From the guest, by a console: what is written while there is no client is kept for the
 *       next, the last 64 KiB of it. A client that stops reading holds the guest up for a second,
 *       and from then on misses what is older than those: Linux spins in its console driver, with
 *       locks held, until a buffer comes back, so that more would end the guest. QEMU does not wait
 *       at all there.
 * </ul>
 *
 * <p>Control messages that wait for a buffer are bits in their port. Clients and what is kept for
 * them outlive a reset of the device; what the driver said and is owed does not.
 */
@NullMarked
package dev.vireo.vmm.virtio.console;

import org.jspecify.annotations.NullMarked;

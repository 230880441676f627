/**
 * virtio-vsock (VIRTIO 1.2, section 5.10), whose other side is unix sockets of the host, as in
 * Firecracker and Cloud Hypervisor:
 *
 * <ul>
 *   <li>A process of the host connects to the microVM's socket, writes {@code CONNECT <port>\n},
 *       reads {@code OK <its own port>\n}, and then has a stream to who listens in the guest.
 *   <li>A process of the guest connects to port <i>n</i> of the host (CID 2), and reaches who
 *       listens on the socket of that name with {@code _n} after it.
 * </ul>
 *
 * <p>The VMM opens nothing: it is given the listening socket, accepts connections from it whether a
 * worker lives or not, and asks the worker to connect where a guest wants to go. So it needs no
 * path, no directory, and no right to make sockets; a connection from the guest costs a message to
 * the worker and back, and is refused while no worker is there.
 *
 * <p>Nothing here grows without bound. A guest may have as many bytes on their way to the host as
 * {@code SendBuffer} holds, which is what it is told as its credit; of the host's bytes no more are
 * taken from a socket than the guest has room for. Control packets that wait for a buffer are bits
 * in their connection, and answers about connections that do not exist hold the transmit queue up
 * when too many of them wait.
 */
@NullMarked
package dev.vireo.vmm.virtio.vsock;

import org.jspecify.annotations.NullMarked;

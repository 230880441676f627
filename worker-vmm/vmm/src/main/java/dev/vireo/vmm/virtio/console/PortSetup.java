package dev.vireo.vmm.virtio.console;

import dev.vireo.linux.Fd;

/**
 * A port to be made.
 *
 * @param name by which the guest finds it: /dev/virtio-ports/NAME
 * @param console whether it is one of the guest's consoles, or a pipe
 * @param size of a console
 * @param listener a unix stream socket on which processes of the host connect; non-blocking, and
 *     the device's from now on
 */
public record PortSetup(String name, boolean console, ConsoleSize size, Fd listener) {}

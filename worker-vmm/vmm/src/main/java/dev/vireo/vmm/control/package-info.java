/**
 * The worker's side of this process: requests and events of {@code vireo.vmm.v1} on one unix
 * socket, and the life of the one microVM that is run here.
 */
@NullMarked
package dev.vireo.vmm.control;

import org.jspecify.annotations.NullMarked;

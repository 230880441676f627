/** Clients' calls about this node's container images: to load one of an archive, list, delete. */
@NullMarked
package dev.vireo.worker.image;

import org.jspecify.annotations.NullMarked;

/** The worker's one stream to its controller: desired state in, observed state out. */
@NullMarked
package dev.vireo.worker.session;

import org.jspecify.annotations.NullMarked;

/** What this machine is and can do. */
@NullMarked
package dev.vireo.worker.node;

import org.jspecify.annotations.NullMarked;

/** VMM processes as the worker owns them: spawned, pooled, watched, taken back, reaped. */
@NullMarked
package dev.vireo.worker.vmm;

import org.jspecify.annotations.NullMarked;

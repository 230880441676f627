/** What a worker keeps on disk so that its successor takes over: paths, locks, records. */
@NullMarked
package dev.vireo.worker.state;

import org.jspecify.annotations.NullMarked;

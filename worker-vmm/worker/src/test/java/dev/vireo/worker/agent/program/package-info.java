/** The guest's agent of {@code ops/guest/agent}, run on this host over a unix socket. */
@NullMarked
package dev.vireo.worker.agent.program;

import org.jspecify.annotations.NullMarked;

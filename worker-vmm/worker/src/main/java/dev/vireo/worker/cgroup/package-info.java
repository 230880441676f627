/** Control groups: what the kernel holds each VMM process to. */
@NullMarked
package dev.vireo.worker.cgroup;

import org.jspecify.annotations.NullMarked;

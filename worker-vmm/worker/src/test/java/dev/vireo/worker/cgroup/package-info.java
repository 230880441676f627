@NullMarked
package dev.vireo.worker.cgroup;

import org.jspecify.annotations.NullMarked;

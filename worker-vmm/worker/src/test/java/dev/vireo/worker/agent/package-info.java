@NullMarked
package dev.vireo.worker.agent;

import org.jspecify.annotations.NullMarked;

/**
 * The machines that run microVMs: what they are (stored) and how they are (held in memory, by lease
 * and heartbeat).
 */
@NullMarked
package dev.vireo.controller.node;

import org.jspecify.annotations.NullMarked;

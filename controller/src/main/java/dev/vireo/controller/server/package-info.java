/** The process: configuration, wiring, where it listens, how it starts and ends. */
@NullMarked
package dev.vireo.controller.server;

import org.jspecify.annotations.NullMarked;

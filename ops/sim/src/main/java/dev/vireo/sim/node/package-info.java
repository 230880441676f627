/** A machine with its worker and its VMMs, which outlive the worker. */
@NullMarked
package dev.vireo.sim.node;

import org.jspecify.annotations.NullMarked;

@NullMarked
package dev.vireo.sim.kernel;

import org.jspecify.annotations.NullMarked;

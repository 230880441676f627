@NullMarked
package dev.vireo.sim.store;

import org.jspecify.annotations.NullMarked;

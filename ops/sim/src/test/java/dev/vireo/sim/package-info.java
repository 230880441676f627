@NullMarked
package dev.vireo.sim;

import org.jspecify.annotations.NullMarked;

/** {@code vireo bench control}: what the control plane does, with workers that answer at once. */
@NullMarked
package dev.vireo.bench.control;

import org.jspecify.annotations.NullMarked;

/** {@code vireo demo}: the main job end to end, on this machine, leaving nothing. */
@NullMarked
package dev.vireo.cli.demo;

import org.jspecify.annotations.NullMarked;

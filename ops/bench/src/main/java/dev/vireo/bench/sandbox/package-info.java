/** {@code vireo bench sandbox}: what it costs to run code in a guest, and to speak with it. */
@NullMarked
package dev.vireo.bench.sandbox;

import org.jspecify.annotations.NullMarked;

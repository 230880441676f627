/** The arrows between the rooms, and the whole of it with real processes. */
@NullMarked
package dev.vireo.systemtests;

import org.jspecify.annotations.NullMarked;

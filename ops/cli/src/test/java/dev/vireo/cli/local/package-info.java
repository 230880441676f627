/** Daemons on this machine, with real processes. */
@NullMarked
package dev.vireo.cli.local;

import org.jspecify.annotations.NullMarked;

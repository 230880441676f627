/** What guests have written, read while it is being written: consoles, and containers' output. */
@NullMarked
package dev.vireo.worker.log;

import org.jspecify.annotations.NullMarked;

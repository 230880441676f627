/** What this host can do, and what to do about what it cannot. */
@NullMarked
package dev.vireo.worker.doctor;

import org.jspecify.annotations.NullMarked;

/**
 * From a spec to what a VMM is given: kernel, disks and command line, checked before any side
 * effect.
 */
@NullMarked
package dev.vireo.worker.boot;

import org.jspecify.annotations.NullMarked;

/** Time as the worker's parts see it: passed in, so that tests hold it in their hands. */
@NullMarked
package dev.vireo.worker.time;

import org.jspecify.annotations.NullMarked;

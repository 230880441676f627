/** Tests of the package of the same name. */
@NullMarked
package dev.vireo.worker.container;

import org.jspecify.annotations.NullMarked;

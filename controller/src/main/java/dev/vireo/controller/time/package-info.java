/** The control plane's clock, which a test can hold still. */
@NullMarked
package dev.vireo.controller.time;

import org.jspecify.annotations.NullMarked;

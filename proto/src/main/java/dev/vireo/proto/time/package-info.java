/** Points in time as messages have them. */
@NullMarked
package dev.vireo.proto.time;

import org.jspecify.annotations.NullMarked;

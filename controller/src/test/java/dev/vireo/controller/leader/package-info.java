@NullMarked
package dev.vireo.controller.leader;

import org.jspecify.annotations.NullMarked;

@NullMarked
package dev.vireo.controller.time;

import org.jspecify.annotations.NullMarked;

@NullMarked
package dev.vireo.worker;

import org.jspecify.annotations.NullMarked;

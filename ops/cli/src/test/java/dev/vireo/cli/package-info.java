/** The command line against a controller made of memory. */
@NullMarked
package dev.vireo.cli;

import org.jspecify.annotations.NullMarked;

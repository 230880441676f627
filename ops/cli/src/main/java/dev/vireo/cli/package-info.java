/** The command line: {@code vireo VERB NAME}, a client of the public API and nothing more. */
@NullMarked
package dev.vireo.cli;

import org.jspecify.annotations.NullMarked;

/** What the demo leaves: nothing. */
@NullMarked
package dev.vireo.cli.demo;

import org.jspecify.annotations.NullMarked;

/** Reading the consoles of microVMs while their VMMs write them. */
@NullMarked
package dev.vireo.worker.console;

import org.jspecify.annotations.NullMarked;

@NullMarked
package dev.vireo.worker.network.dns;

import org.jspecify.annotations.NullMarked;

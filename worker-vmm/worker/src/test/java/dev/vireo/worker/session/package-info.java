@NullMarked
package dev.vireo.worker.session;

import org.jspecify.annotations.NullMarked;

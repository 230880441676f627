@NullMarked
package dev.vireo.worker.http;

import org.jspecify.annotations.NullMarked;

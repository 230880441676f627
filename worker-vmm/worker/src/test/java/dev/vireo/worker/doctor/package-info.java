@NullMarked
package dev.vireo.worker.doctor;

import org.jspecify.annotations.NullMarked;

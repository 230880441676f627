/**
 * OpenTelemetry traces of launches, whose parent comes with an assignment. Off unless somewhere is
 * set to send them to; then no class of OpenTelemetry is loaded.
 */
@NullMarked
package dev.vireo.worker.tracing;

import org.jspecify.annotations.NullMarked;

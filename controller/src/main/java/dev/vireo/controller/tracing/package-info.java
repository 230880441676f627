/**
 * OpenTelemetry traces: of a call, and of what becomes of the microVM that it asks for, on other
 * threads and on its node. Off unless somewhere is set to send them to; then no class of
 * OpenTelemetry is loaded.
 */
@NullMarked
package dev.vireo.controller.tracing;

import org.jspecify.annotations.NullMarked;

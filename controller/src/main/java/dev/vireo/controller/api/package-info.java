/**
 * The public API {@code vireo.v1}: validation, idempotence, pages, watches; every error from the
 * catalogue. The gRPC classes only translate; what is done is in plain classes beside them.
 */
@NullMarked
package dev.vireo.controller.api;

import org.jspecify.annotations.NullMarked;

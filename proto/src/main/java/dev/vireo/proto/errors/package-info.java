/** The error catalogue: every reason a client can be told, with its cause and remedy. */
@NullMarked
package dev.vireo.proto.errors;

import org.jspecify.annotations.NullMarked;

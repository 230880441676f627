/** What a container image is called in the API. */
@NullMarked
package dev.vireo.proto.image;

import org.jspecify.annotations.NullMarked;

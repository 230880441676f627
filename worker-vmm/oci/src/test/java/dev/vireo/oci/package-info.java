@NullMarked
package dev.vireo.oci;

import org.jspecify.annotations.NullMarked;

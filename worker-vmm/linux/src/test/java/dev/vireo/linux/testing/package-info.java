/** For tests of whatever uses Linux, here and in modules above. */
@NullMarked
package dev.vireo.linux.testing;

import org.jspecify.annotations.NullMarked;

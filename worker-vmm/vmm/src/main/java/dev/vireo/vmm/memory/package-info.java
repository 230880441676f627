/** Guest memory: the one place where an address that a guest made up is checked. */
@NullMarked
package dev.vireo.vmm.memory;

import org.jspecify.annotations.NullMarked;

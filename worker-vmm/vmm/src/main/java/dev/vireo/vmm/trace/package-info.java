/**
 * What happens in a VMM, written down while somebody asks for it: a ring of binary records, and the
 * places that put them there. Off is a field that is null.
 */
@NullMarked
package dev.vireo.vmm.trace;

import org.jspecify.annotations.NullMarked;

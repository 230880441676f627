/** Where a device's I/O really goes. */
@NullMarked
package dev.vireo.vmm.backend;

import org.jspecify.annotations.NullMarked;

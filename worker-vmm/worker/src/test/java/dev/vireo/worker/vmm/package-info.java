@NullMarked
package dev.vireo.worker.vmm;

import org.jspecify.annotations.NullMarked;

/** Making desired state true: one state machine per microVM, and the set of them. */
@NullMarked
package dev.vireo.worker.microvm;

import org.jspecify.annotations.NullMarked;

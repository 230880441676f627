/**
 * One leader among the controllers: how it is found, what it alone may write, and how the others
 * have it answer what they cannot. Why it is so: REPLICAS.md.
 */
@NullMarked
package dev.vireo.controller.leader;

import org.jspecify.annotations.NullMarked;

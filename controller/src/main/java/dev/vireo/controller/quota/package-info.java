/**
 * How much of the cluster each project may have, and has. The check of a create and what it takes
 * up are one step, before it is durable: concurrent creates do not exceed a quota together.
 */
@NullMarked
package dev.vireo.controller.quota;

import org.jspecify.annotations.NullMarked;

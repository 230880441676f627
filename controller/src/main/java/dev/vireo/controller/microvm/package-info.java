/**
 * The microVMs: named, stored, held in memory as the store has them, and watched.
 *
 * <p>{@link dev.vireo.controller.microvm.MicroVms} is the only writer of their records. It changes
 * one by reading it, computing the next (with {@code lifecycle}'s pure functions) and putting that
 * if the version is still the same: who loses the race reads again. There is no lock around a
 * microVM.
 */
@NullMarked
package dev.vireo.controller.microvm;

import org.jspecify.annotations.NullMarked;

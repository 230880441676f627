/**
 * {@code vireo bench}: what a microVM costs here, beside QEMU's microvm machine with the same
 * guest, from one run on one machine. Numbers are ratios and native times of this machine and this
 * hour.
 */
@NullMarked
package dev.vireo.bench;

import org.jspecify.annotations.NullMarked;

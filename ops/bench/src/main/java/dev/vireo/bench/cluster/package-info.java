/**
 * A private controller and worker as real processes, for measurements and system tests: own ports,
 * own directory, and nothing of them left behind.
 */
@NullMarked
package dev.vireo.bench.cluster;

import org.jspecify.annotations.NullMarked;

/**
 * The metadata services of microVMs: HTTP for each guest over its own vsock device, and for nobody
 * else. README.md says what it answers, and what a guest can do to it.
 */
@org.jspecify.annotations.NullMarked
package dev.vireo.worker.metadata;

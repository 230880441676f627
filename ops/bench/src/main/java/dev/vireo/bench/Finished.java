package dev.vireo.bench;

/**
 * A probe program that has run to its end.
 *
 * @param cpuSeconds user and system time of the machine's process while it ran, the guest's
 *     included
 * @param exitsPerIo exits to user space on its first device's registers per request; NaN where
 *     nobody counts them
 * @param notificationExitsPerIo of them, those on QueueNotify
 */
record Finished(
    ProbeOutput output, double cpuSeconds, double exitsPerIo, double notificationExitsPerIo) {}

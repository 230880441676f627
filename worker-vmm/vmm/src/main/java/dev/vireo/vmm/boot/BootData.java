package dev.vireo.vmm.boot;

/**
 * Where the kernel finds what it does not find itself.
 *
 * @param initramfsAddress 0 if there is none
 * @param rsdpAddress ACPI's root pointer
 */
record BootData(long initramfsAddress, long initramfsBytes, long rsdpAddress) {}

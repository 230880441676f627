package dev.vireo.catalog;

/**
 * A device's place in the machine: one page of registers and one interrupt line.
 *
 * @param index place in the plan, from 0
 * @param base guest physical address of the first register
 * @param size bytes of address space
 * @param gsi global system interrupt, edge-triggered, active high: on x86-64 the IOAPIC's pin, on
 *     arm64 the number of the GIC's shared peripheral interrupt (SPI)
 */
public record DeviceSlot(int index, long base, long size, int gsi) {}

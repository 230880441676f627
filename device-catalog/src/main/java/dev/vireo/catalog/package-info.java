/**
 * What a guest can be given: device models and their back ends, the MMIO and interrupt plan, and
 * the ways to announce it. Pure functions: data in, tables and strings out.
 *
 * <p>One {@link dev.vireo.catalog.MmioPlan} is the source of every announcement, so that the
 * command line, the ACPI tables and the machine cannot disagree about where a device sits.
 */
@NullMarked
package dev.vireo.catalog;

import org.jspecify.annotations.NullMarked;

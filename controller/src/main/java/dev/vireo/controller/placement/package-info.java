/**
 * The scheduler at work: translates specs and nodes into its terms, and keeps the ledger of what
 * nodes have been promised. One short lock holds decision and reservation together.
 */
@NullMarked
package dev.vireo.controller.placement;

import org.jspecify.annotations.NullMarked;

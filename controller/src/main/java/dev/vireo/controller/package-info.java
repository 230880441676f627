/**
 * The controller: the public API, the store, workers' sessions, and what keeps them in agreement.
 *
 * <p><b>Who may do what on which thread.</b>
 *
 * <ul>
 *   <li>The <em>store's thread</em> owns the database. It commits, in batches, and then tells the
 *       images of the store ({@code MicroVms}, {@code Nodes}) of it, which tell their listeners
 *       (the scheduler's books, sessions, watches). So everybody sees changes in one order, and
 *       what was answered is seen by who asked. Nothing on this thread waits.
 *   <li>A <em>call's thread</em> (virtual) reads the images, computes, commits and waits for that.
 *       There is no lock around a microVM: a commit names the version that it was computed from,
 *       and who loses a race reads again.
 *   <li>A <em>session's thread</em> (virtual) is the only sender on its stream, so a slow worker is
 *       waited for by nobody else. Reports are handled on a virtual thread for each microVM that is
 *       spoken of, only the last word of each.
 *   <li>The <em>reconciler's thread</em> does what nobody asks for: leases, times to live, pending
 *       microVMs.
 * </ul>
 *
 * <p>Locks are held for a computation and never while waiting: the scheduler's books ({@code
 * Placer}), the projects' ({@code Quotas}) and the list of watches ({@code MicroVms}).
 */
@NullMarked
package dev.vireo.controller;

import org.jspecify.annotations.NullMarked;

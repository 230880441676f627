/**
 * What the controller keeps: a small ordered key-value store with versions, behind one interface so
 * that the control plane can outgrow a machine without noticing.
 *
 * <p>{@link dev.vireo.controller.store.Store} says what a store promises, and its conformance test
 * holds every implementation to it. {@link dev.vireo.controller.store.SqliteStore} is the embedded
 * one, {@link dev.vireo.controller.store.EtcdStore} that of several controllers.
 */
@NullMarked
package dev.vireo.controller.store;

import org.jspecify.annotations.NullMarked;

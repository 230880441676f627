/** The real controller, without Quarkus and sockets. */
@NullMarked
package dev.vireo.sim.controller;

import org.jspecify.annotations.NullMarked;

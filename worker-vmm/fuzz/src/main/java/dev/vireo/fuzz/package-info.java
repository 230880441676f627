/**
 * A hostile guest for every device model. Jazzer makes up programs of a guest, guided by the code
 * they reach; {@link dev.vireo.fuzz.Examination} runs each against a real device on a real
 * transport and checks that it hurt nobody but itself. README.md beside the module's pom tells how
 * to add a device and what to do with a finding.
 */
@NullMarked
package dev.vireo.fuzz;

import org.jspecify.annotations.NullMarked;

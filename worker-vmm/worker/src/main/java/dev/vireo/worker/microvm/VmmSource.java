package dev.vireo.worker.microvm;

import dev.vireo.worker.vmm.Vmm;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;

/** Knows the VMMs of microVMs. */
interface VmmSource {
  /** The VMM that has the microVM of this uid, if one does; empty if no such microVM is here. */
  Optional<CompletableFuture<Optional<Vmm>>> vmmOf(String uid);
}

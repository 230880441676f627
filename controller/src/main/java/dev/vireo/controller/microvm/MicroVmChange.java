package dev.vireo.controller.microvm;

import java.util.Optional;

/** What a commit did to one microVM. */
public sealed interface MicroVmChange {
  /** Of the commit. */
  long version();

  /** The microVM after the change; the last there was, if it is gone. */
  StoredMicroVm microVm();

  /** A new one. */
  record Added(StoredMicroVm microVm) implements MicroVmChange {
    @Override
    public long version() {
      return microVm.version();
    }
  }

  /** It is no longer what it was. */
  record Modified(StoredMicroVm microVm) implements MicroVmChange {
    @Override
    public long version() {
      return microVm.version();
    }
  }

  /** It is gone. */
  record Removed(StoredMicroVm microVm, long version) implements MicroVmChange {}

  /** The microVM, unless it is gone. */
  default Optional<StoredMicroVm> present() {
    return switch (this) {
      case Added(StoredMicroVm microVm) -> Optional.of(microVm);
      case Modified(StoredMicroVm microVm) -> Optional.of(microVm);
      case Removed _ -> Optional.empty();
    };
  }
}

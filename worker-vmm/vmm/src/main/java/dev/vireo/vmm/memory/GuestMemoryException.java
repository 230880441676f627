package dev.vireo.vmm.memory;

/**
 * An access that is not wholly inside one region of guest memory, or not aligned where it must be.
 */
public final class GuestMemoryException extends RuntimeException {
  private static final long serialVersionUID = 1;

  GuestMemoryException(String what, long address, long length) {
    super("%s: %s bytes at 0x%x".formatted(what, Long.toUnsignedString(length), address));
  }
}

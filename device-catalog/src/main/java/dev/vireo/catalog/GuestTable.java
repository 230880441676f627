package dev.vireo.catalog;

/**
 * A firmware table and where in guest memory it belongs: some of its bytes are addresses of others.
 */
public final class GuestTable {
  private final String signature;
  private final long address;
  private final byte[] bytes;

  GuestTable(String signature, long address, byte[] bytes) {
    this.signature = signature;
    this.address = address;
    this.bytes = bytes;
  }

  /** Its name in its specification, {@code "FACP"} or {@code "PCMP"}. */
  public String signature() {
    return signature;
  }

  /** Guest physical address of the first byte. */
  public long address() {
    return address;
  }

  /** A copy of the contents. */
  public byte[] bytes() {
    return bytes.clone();
  }

  int length() {
    return bytes.length;
  }

  @Override
  public String toString() {
    return "%s at 0x%x, %d bytes".formatted(signature, address, bytes.length);
  }
}

package dev.vireo.vmm.virtio.queue;

/**
 * What a chain asks for, for those who trace it. A device fills it in, as far as the chain tells
 * more than its queue does.
 */
public final class RequestDescription {
  /** The offset of a request that has none. */
  public static final long NO_OFFSET = -1;

  /** The amount of a request that shows only by what was written. */
  static final long AS_WRITTEN = -1;

  /** The address of a status that there is none of. */
  static final long NO_STATUS = -1;

  RequestKind kind = RequestKind.REQUEST;
  long offset;
  long bytes;
  boolean endsInStatus;
  long statusAddress;

  /** By its queue alone: what is read from the guest counts, if anything is. */
  void begin(RequestKind ofQueue, DescriptorChain chain) {
    kind = ofQueue;
    offset = NO_OFFSET;
    bytes = chain.readableBytes() > 0 ? chain.readableBytes() : AS_WRITTEN;
    endsInStatus = false;
    statusAddress = NO_STATUS;
  }

  public void kind(RequestKind is) {
    kind = is;
  }

  /** Where on the device, in bytes; negative for nowhere. */
  public void offset(long at) {
    offset = at < 0 ? NO_OFFSET : at;
  }

  /** Bytes that it asks for. */
  public void bytes(long amount) {
    bytes = amount;
  }

  /** The chain's last byte gets a status: 0 for done, 2 for unsupported, others for an error. */
  public void endsInStatus() {
    endsInStatus = true;
  }

  /** The byte at this guest address gets a status: 0 for done, all others for an error. */
  public void statusAt(long address) {
    statusAddress = address;
  }
}

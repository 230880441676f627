package dev.vireo.vmm.virtio.queue;

/** A device, as far as its requests can be told apart from outside. */
public interface RequestSource {
  /** What the chains of a queue are for, as far as the queue tells it. */
  default RequestKind requestKind(int queue) {
    return RequestKind.REQUEST;
  }

  /**
   * What a chain asks for, where that is in the chain. Called only while somebody traces, on the
   * thread that took the chain, which has no defect. The chain's memory is read once more for it:
   * what the guest changes meanwhile makes the trace wrong, and nothing else.
   *
   * @param description says already what {@link #requestKind} does
   */
  default void describe(int queue, DescriptorChain chain, RequestDescription description) {}
}

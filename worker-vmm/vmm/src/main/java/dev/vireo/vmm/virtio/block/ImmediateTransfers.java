package dev.vireo.vmm.virtio.block;

import dev.vireo.vmm.backend.RawFile;
import dev.vireo.vmm.memory.GuestMemory;
import dev.vireo.vmm.memory.IoVector;
import dev.vireo.vmm.virtio.queue.DescriptorChain;

/** Each transfer by a system call that waits for it. */
final class ImmediateTransfers implements Transfers {
  private final RawFile file;
  private final IoVector vector;

  /**
   * @param maxBuffers of a chain
   */
  ImmediateTransfers(RawFile file, GuestMemory memory, int maxBuffers) {
    this.file = file;
    this.vector = new IoVector(memory, maxBuffers);
  }

  @Override
  public int read(DescriptorChain chain, long offset, long bytes) {
    vector.clear();
    chain.gatherWritable(0, bytes, vector);
    return file.read(vector, offset);
  }

  @Override
  public int write(DescriptorChain chain, long from, long offset, long bytes, boolean durable) {
    vector.clear();
    chain.gatherReadable(from, bytes, vector);
    int error = file.write(vector, offset);
    return error == RawFile.OK && durable ? file.flush() : error;
  }

  @Override
  public int flush(DescriptorChain chain) {
    return file.flush();
  }
}

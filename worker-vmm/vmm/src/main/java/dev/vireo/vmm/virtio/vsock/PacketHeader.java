package dev.vireo.vmm.virtio.vsock;

import dev.vireo.vmm.virtio.queue.DescriptorChain;

/**
 * {@code struct virtio_vsock_hdr} (VIRTIO 1.2, section 5.10.6). Made once, filled for each packet.
 */
final class PacketHeader {
  static final int BYTES = 44;

  /** Section 5.10.4: the host. */
  static final long HOST_CID = 2;

  static final int TYPE_STREAM = 1;

  static final int OP_REQUEST = 1;
  static final int OP_RESPONSE = 2;
  static final int OP_RST = 3;
  static final int OP_SHUTDOWN = 4;
  static final int OP_RW = 5;
  static final int OP_CREDIT_UPDATE = 6;
  static final int OP_CREDIT_REQUEST = 7;

  /** Flags of SHUTDOWN (5.10.6.5): its sender receives no more, sends no more. */
  static final int SHUTDOWN_RECEIVE = 1;

  static final int SHUTDOWN_SEND = 2;
  static final int SHUTDOWN_BOTH = SHUTDOWN_RECEIVE | SHUTDOWN_SEND;

  // le64 src_cid, dst_cid; le32 src_port, dst_port, len; le16 type, op; le32 flags, buf_alloc,
  // fwd_cnt
  private static final int SRC_CID = 0;
  private static final int DST_CID = 8;
  private static final int SRC_PORT = 16;
  private static final int DST_PORT = 20;
  private static final int LEN = 24;
  private static final int TYPE_AND_OP = 28;
  private static final int FLAGS = 32;
  private static final int BUF_ALLOC = 36;
  private static final int FWD_CNT = 40;

  long sourceCid;
  long destinationCid;
  int sourcePort;
  int destinationPort;

  /** Bytes of data after the header; unsigned. */
  int length;

  int type;
  int operation;
  int flags;

  /** Of the sender: bytes that it has room for in all; unsigned. */
  int bufferSize;

  /** Of the sender: bytes that it has received and passed on; free-running. */
  int forwarded;

  /** Reads it from the start of a chain of at least {@link #BYTES} readable bytes. */
  void readFrom(DescriptorChain chain) {
    sourceCid = chain.getLong(SRC_CID);
    destinationCid = chain.getLong(DST_CID);
    sourcePort = chain.getInt(SRC_PORT);
    destinationPort = chain.getInt(DST_PORT);
    length = chain.getInt(LEN);
    int typeAndOperation = chain.getInt(TYPE_AND_OP);
    type = typeAndOperation & 0xffff;
    operation = typeAndOperation >>> 16;
    flags = chain.getInt(FLAGS);
    bufferSize = chain.getInt(BUF_ALLOC);
    forwarded = chain.getInt(FWD_CNT);
  }

  /** Writes it to the start of a chain of at least {@link #BYTES} writable bytes. */
  void writeTo(DescriptorChain chain) {
    chain.putLong(SRC_CID, sourceCid);
    chain.putLong(DST_CID, destinationCid);
    chain.putInt(SRC_PORT, sourcePort);
    chain.putInt(DST_PORT, destinationPort);
    chain.putInt(LEN, length);
    chain.putInt(TYPE_AND_OP, operation << 16 | type);
    chain.putInt(FLAGS, flags);
    chain.putInt(BUF_ALLOC, bufferSize);
    chain.putInt(FWD_CNT, forwarded);
  }
}

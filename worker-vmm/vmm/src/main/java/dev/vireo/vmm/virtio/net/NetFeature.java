package dev.vireo.vmm.virtio.net;

import dev.vireo.vmm.backend.Tap;

/** Feature bits of a network device (VIRTIO 1.2, section 5.1.3) and what follows from them. */
final class NetFeature {
  /** The device takes frames whose checksum is not computed. */
  static final long CSUM = 1L << 0;

  /** The driver takes frames whose checksum is not computed. */
  static final long GUEST_CSUM = 1L << 1;

  /** The driver can change its mind about the GUEST features, by the control queue. */
  static final long CTRL_GUEST_OFFLOADS = 1L << 2;

  static final long MTU = 1L << 3;
  static final long MAC = 1L << 5;
  static final long GUEST_TSO4 = 1L << 7;
  static final long GUEST_TSO6 = 1L << 8;
  static final long GUEST_ECN = 1L << 9;
  static final long GUEST_UFO = 1L << 10;
  static final long HOST_TSO4 = 1L << 11;
  static final long HOST_TSO6 = 1L << 12;
  static final long HOST_ECN = 1L << 13;
  static final long HOST_UFO = 1L << 14;

  /** A received frame may span several buffers. */
  static final long MRG_RXBUF = 1L << 15;

  static final long STATUS = 1L << 16;
  static final long CTRL_VQ = 1L << 17;

  /** Several pairs of queues. */
  static final long MQ = 1L << 22;

  /** What the driver may ask of received frames. */
  static final long GUEST_OFFLOADS = GUEST_CSUM | GUEST_TSO4 | GUEST_TSO6 | GUEST_ECN | GUEST_UFO;

  /** Received frames may be larger than the MTU. */
  static final long GUEST_SEGMENTATION = GUEST_TSO4 | GUEST_TSO6 | GUEST_UFO;

  /** Those that any tap interface serves. */
  static final long OFFLOADS =
      CSUM | HOST_TSO4 | HOST_TSO6 | HOST_ECN | HOST_UFO | GUEST_OFFLOADS | CTRL_GUEST_OFFLOADS;

  private NetFeature() {}

  /** 5.1.3.1, "Feature bit requirements": whether all that is accepted has what it requires. */
  static boolean areConsistent(long features) {
    return requires(features, GUEST_TSO4 | GUEST_TSO6 | GUEST_UFO, GUEST_CSUM)
        && requires(features, GUEST_ECN, GUEST_TSO4 | GUEST_TSO6)
        && requires(features, HOST_TSO4 | HOST_TSO6 | HOST_UFO, CSUM)
        && requires(features, HOST_ECN, HOST_TSO4 | HOST_TSO6)
        && requires(features, MQ, CTRL_VQ);
  }

  /** None of {@code dependents} without one of {@code required}. */
  private static boolean requires(long features, long dependents, long required) {
    return (features & dependents) == 0 || (features & required) != 0;
  }

  /** What a tap may expect of a driver that accepted {@code features}. */
  static int tapOffloads(long features) {
    return offload(features, GUEST_CSUM, Tap.OFFLOAD_CHECKSUM)
        | offload(features, GUEST_TSO4, Tap.OFFLOAD_TSO4)
        | offload(features, GUEST_TSO6, Tap.OFFLOAD_TSO6)
        | offload(features, GUEST_ECN, Tap.OFFLOAD_TSO_ECN)
        | offload(features, GUEST_UFO, Tap.OFFLOAD_UFO);
  }

  private static int offload(long features, long feature, int offload) {
    return (features & feature) == 0 ? 0 : offload;
  }
}

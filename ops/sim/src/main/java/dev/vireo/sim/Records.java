package dev.vireo.sim;

import com.google.protobuf.ByteString;
import com.google.protobuf.InvalidProtocolBufferException;
import dev.vireo.controller.leader.LeaderElection;
import dev.vireo.controller.store.Entry;
import dev.vireo.proto.store.v1.LeaderRecord;
import dev.vireo.proto.store.v1.MicroVmRecord;
import dev.vireo.proto.store.v1.QuotaRecord;
import dev.vireo.proto.store.v1.TombstoneRecord;
import dev.vireo.proto.v1.QuotaSpec;
import dev.vireo.sim.store.SimDisk;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Collectors;

/** What controllers have in a store. */
final class Records {
  private static final String PREFIX = "microvms/";
  private static final String TOMBSTONES = "tombstones/";
  private static final String QUOTAS = "quotas/";

  private Records() {}

  /** Whether a key is that of a microVM that was deleted without its node. */
  static boolean isTombstone(String key) {
    return key.startsWith(TOMBSTONES);
  }

  static List<TombstoneRecord> tombstones(SimDisk disk) {
    return disk.entries(TOMBSTONES).stream()
        .map(Entry::value)
        .map(Records::parseTombstone)
        .toList();
  }

  static TombstoneRecord parseTombstone(ByteString value) {
    try {
      return TombstoneRecord.parseFrom(value);
    } catch (InvalidProtocolBufferException e) {
      throw new IllegalStateException("not a tombstone", e);
    }
  }

  /** The name of the controller that leads, as far as the store goes. */
  static Optional<String> leader(SimDisk disk) {
    return disk.entries(LeaderElection.KEY).stream().findFirst().map(Records::leader);
  }

  private static String leader(Entry entry) {
    try {
      String address = LeaderRecord.parseFrom(entry.value()).getAddress();
      return address.substring(0, address.indexOf(':'));
    } catch (InvalidProtocolBufferException e) {
      throw new IllegalStateException("not a leader's record", e);
    }
  }

  static boolean isQuota(String key) {
    return key.startsWith(QUOTAS);
  }

  static QuotaSpec parseQuota(ByteString value) {
    try {
      return QuotaRecord.parseFrom(value).getQuota().getSpec();
    } catch (InvalidProtocolBufferException e) {
      throw new IllegalStateException("not a quota's record", e);
    }
  }

  static boolean isMicroVm(String key) {
    return key.startsWith(PREFIX);
  }

  static List<MicroVmRecord> all(SimDisk disk) {
    return disk.entries(PREFIX).stream().map(Entry::value).map(Records::parse).toList();
  }

  /** Each microVM's version, by its uid. */
  static Map<String, Long> versions(SimDisk disk) {
    return disk.entries(PREFIX).stream()
        .collect(
            Collectors.toMap(
                entry -> parse(entry.value()).getMicrovm().getMeta().getUid(), Entry::version));
  }

  static MicroVmRecord parse(ByteString value) {
    try {
      return MicroVmRecord.parseFrom(value);
    } catch (InvalidProtocolBufferException e) {
      throw new IllegalStateException("not a microVM's record", e);
    }
  }
}

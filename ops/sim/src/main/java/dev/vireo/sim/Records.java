package dev.vireo.sim;

import com.google.protobuf.ByteString;
import com.google.protobuf.InvalidProtocolBufferException;
import dev.vireo.controller.store.Entry;
import dev.vireo.proto.store.v1.MicroVmRecord;
import dev.vireo.sim.store.SimDisk;
import java.util.List;

/** The microVMs' records in a store. */
final class Records {
  private static final String PREFIX = "microvms/";

  private Records() {}

  static boolean isMicroVm(String key) {
    return key.startsWith(PREFIX);
  }

  static List<MicroVmRecord> all(SimDisk disk) {
    return disk.entries(PREFIX).stream().map(Entry::value).map(Records::parse).toList();
  }

  static MicroVmRecord parse(ByteString value) {
    try {
      return MicroVmRecord.parseFrom(value);
    } catch (InvalidProtocolBufferException e) {
      throw new IllegalStateException("not a microVM's record", e);
    }
  }
}

package dev.vireo.controller.microvm;

import com.google.protobuf.InvalidProtocolBufferException;
import dev.vireo.controller.store.Entry;
import dev.vireo.proto.store.v1.MicroVmRecord;
import dev.vireo.proto.v1.MicroVm;

/**
 * A microVM as the store has it.
 *
 * @param microVm what clients see: the record's, with its version and etag
 * @param version of the commit that wrote it
 * @param createdVersion of the commit that made it
 */
public record StoredMicroVm(
    MicroVmRecord record, MicroVm microVm, long version, long createdVersion) {

  static StoredMicroVm of(MicroVmRecord record, long version, long createdVersion) {
    MicroVm.Builder microVm = record.getMicrovm().toBuilder();
    microVm.getMetaBuilder().setResourceVersion(version).setEtag(Long.toHexString(version));
    return new StoredMicroVm(record, microVm.build(), version, createdVersion);
  }

  static StoredMicroVm of(Entry entry) {
    try {
      return of(MicroVmRecord.parseFrom(entry.value()), entry.version(), entry.createdVersion());
    } catch (InvalidProtocolBufferException e) {
      throw new IllegalStateException("not a microVM's record: " + entry.key(), e);
    }
  }

  Entry entry() {
    return new Entry(key(), record.toByteString(), version, createdVersion);
  }

  public String uid() {
    return microVm.getMeta().getUid();
  }

  public String name() {
    return microVm.getMeta().getName();
  }

  String key() {
    return MicroVmName.parse(name()).orElseThrow().key();
  }
}

package dev.vireo.controller.quota;

import com.google.protobuf.InvalidProtocolBufferException;
import dev.vireo.controller.store.Entry;
import dev.vireo.controller.store.Write;
import dev.vireo.proto.store.v1.QuotaRecord;
import dev.vireo.proto.v1.Quota;
import dev.vireo.proto.v1.QuotaSpec;

/**
 * A project's quota as the store has it.
 *
 * @param version of the commit that wrote it; {@link Write#ABSENT} of one that was never set
 */
public record StoredQuota(String project, Quota quota, long version) {
  static final String KEY_PREFIX = "quotas/";

  static StoredQuota of(Entry entry) {
    try {
      return new StoredQuota(
          entry.key().substring(KEY_PREFIX.length()),
          QuotaRecord.parseFrom(entry.value()).getQuota(),
          entry.version());
    } catch (InvalidProtocolBufferException e) {
      throw new IllegalStateException("not a quota's record: " + entry.key(), e);
    }
  }

  /** One that limits nothing. */
  static StoredQuota unset(String project) {
    Quota.Builder quota = Quota.newBuilder();
    quota.getMetaBuilder().setName("projects/" + project + "/quota");
    return new StoredQuota(project, quota.build(), Write.ABSENT);
  }

  public String etag() {
    return Long.toHexString(version);
  }

  QuotaSpec limits() {
    return quota.getSpec();
  }

  String key() {
    return KEY_PREFIX + project;
  }
}

package dev.vireo.controller.store;

import com.google.protobuf.ByteString;
import io.etcd.jetcd.api.Event;
import io.etcd.jetcd.api.KeyValue;

/**
 * The keys of one cluster in an etcd, and what is under them as the store has it.
 *
 * <ul>
 *   <li>{@code PREFIX/cluster}, the marker: the format of the rest, and whose it is. Every commit
 *       demands it unchanged, so writing it anew ends all commits that are still on their way.
 *   <li>{@code PREFIX/mark}: which commit was the last, and whether it was done. Every commit
 *       leaves it, so that each has an event of its own in a watch.
 *   <li>{@code PREFIX/data/KEY}: the entries.
 * </ul>
 */
final class EtcdKeys {
  /** Of the format that this release writes. */
  static final int FORMAT = 1;

  private final ByteString all;
  private final ByteString marker;
  private final ByteString mark;
  private final ByteString data;

  EtcdKeys(String prefix) {
    all = ByteString.copyFromUtf8(prefix);
    marker = ByteString.copyFromUtf8(prefix + "cluster");
    mark = ByteString.copyFromUtf8(prefix + "mark");
    data = ByteString.copyFromUtf8(prefix + "data/");
  }

  ByteString all() {
    return all;
  }

  ByteString marker() {
    return marker;
  }

  ByteString mark() {
    return mark;
  }

  ByteString data(String key) {
    return data.concat(ByteString.copyFromUtf8(key));
  }

  boolean isData(ByteString etcdKey) {
    return etcdKey.startsWith(data);
  }

  /** The store's key of one in etcd. */
  String key(ByteString etcdKey) {
    return etcdKey.substring(data.size()).toStringUtf8();
  }

  /** What etcd has found under a key of an entry. */
  Entry entry(KeyValue found) {
    return new Entry(
        key(found.getKey()), found.getValue(), found.getModRevision(), found.getCreateRevision());
  }

  /** What has become of an entry. The event has what was there before. */
  Change change(Event event) {
    KeyValue now = event.getKv();
    return event.getType() == Event.EventType.PUT
        ? new Change.Updated(entry(now))
        : new Change.Deleted(key(now.getKey()), event.getPrevKv().getValue(), now.getModRevision());
  }

  /**
   * The end of the range of all keys that begin with a prefix: the prefix, its last byte plus one.
   */
  static ByteString endOf(ByteString prefix) {
    int last = prefix.size() - 1;
    byte next = (byte) (prefix.byteAt(last) + 1);
    return prefix.substring(0, last).concat(ByteString.copyFrom(new byte[] {next}));
  }
}

package dev.vireo.worker.network.dns;

import java.net.Inet4Address;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.xbill.DNS.ARecord;
import org.xbill.DNS.CNAMERecord;
import org.xbill.DNS.Message;
import org.xbill.DNS.Name;
import org.xbill.DNS.Record;
import org.xbill.DNS.Section;

/**
 * What an answer says of a name's addresses: the aliases that lead to them, one after the other,
 * and they. What else it says is not of the name that was asked for.
 *
 * @param aliases from the name on
 * @param addresses of the last of them
 */
record Answer(List<CNAMERecord> aliases, List<ARecord> addresses) {
  /** Longer chains are a loop, or somebody's game. */
  private static final int MOST_ALIASES = 16;

  /** Of one name; the packet filter is told each. */
  private static final int MOST_ADDRESSES = 16;

  static Answer of(Name name, Message message) {
    List<Record> records = message.getSection(Section.ANSWER);
    List<CNAMERecord> aliases = new ArrayList<>();
    Name last = name;
    for (CNAMERecord next = alias(last, records);
        next != null && aliases.size() < MOST_ALIASES;
        next = alias(last, records)) {
      aliases.add(next);
      last = next.getTarget();
    }
    return new Answer(aliases, addresses(last, records));
  }

  private static @Nullable CNAMERecord alias(Name of, List<Record> records) {
    for (Record record : records) {
      if (record instanceof CNAMERecord alias && alias.getName().equals(of)) {
        return alias;
      }
    }
    return null;
  }

  private static List<ARecord> addresses(Name of, List<Record> records) {
    return records.stream()
        .filter(record -> record instanceof ARecord && record.getName().equals(of))
        .map(ARecord.class::cast)
        .limit(MOST_ADDRESSES)
        .toList();
  }

  static Inet4Address address(ARecord record) {
    return (Inet4Address) record.getAddress();
  }
}

package dev.vireo.worker.network.dns;

import dev.vireo.worker.network.NameGrants;
import dev.vireo.worker.network.NameGrants.NameRule;
import dev.vireo.worker.network.NameGrants.ResolvingGuest;
import dev.vireo.worker.network.dns.AddressPolicy.Verdict;
import java.io.IOException;
import java.lang.System.Logger.Level;
import java.net.Inet4Address;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.function.Consumer;
import org.xbill.DNS.ARecord;
import org.xbill.DNS.CNAMERecord;
import org.xbill.DNS.DClass;
import org.xbill.DNS.ExtendedErrorCodeOption;
import org.xbill.DNS.Flags;
import org.xbill.DNS.Message;
import org.xbill.DNS.OPTRecord;
import org.xbill.DNS.Opcode;
import org.xbill.DNS.Rcode;
import org.xbill.DNS.Record;
import org.xbill.DNS.Section;
import org.xbill.DNS.Type;

/**
 * Answers guests' questions, by what each guest's rules name. Waits for the node's resolvers and
 * for the packet filter; whoever calls has a thread for that.
 */
final class GuestQueries {
  private static final System.Logger LOG = System.getLogger("dns");

  /** What a guest may remember an answer for: shorter than what it is granted. */
  private static final long LONGEST_TTL_SECONDS = Grants.LONGEST.toSeconds();

  /** Of a message by UDP: what passes any network in one piece. */
  private static final int UDP_BYTES = 1232;

  /** The same without EDNS (RFC 1035, section 4.2.1). */
  private static final int PLAIN_UDP_BYTES = 512;

  private static final int TCP_BYTES = 0xffff;

  private final NameGrants guests;
  private final Grants grants;
  private final AddressPolicy addresses;
  private final Upstream upstream;
  private final Consumer<String> events;

  GuestQueries(
      NameGrants guests,
      Grants grants,
      AddressPolicy addresses,
      Upstream upstream,
      Consumer<String> events) {
    this.guests = guests;
    this.grants = grants;
    this.addresses = addresses;
    this.upstream = upstream;
    this.events = events;
  }

  /** The answer to a question that came by UDP, cut to what may go back that way. */
  Optional<byte[]> answerByUdp(Inet4Address source, byte[] question) {
    return answer(source, question, false);
  }

  /** The answer to a question that came by TCP. */
  Optional<byte[]> answerByTcp(Inet4Address source, byte[] question) {
    return answer(source, question, true);
  }

  /**
   * The answer to a question; empty if there is to be none.
   *
   * @param source whose question it is; no guest can send with another's address
   */
  private Optional<byte[]> answer(Inet4Address source, byte[] question, boolean byTcp) {
    Optional<ResolvingGuest> guest = guests.resolving(source);
    if (guest.isEmpty()) {
      events.accept("queries_of_nobody");
      return Optional.empty();
    }
    Optional<Message> query = parse(question);
    if (query.isEmpty()) {
      events.accept("queries_malformed");
      return Optional.empty();
    }
    events.accept("queries");
    int most = byTcp ? TCP_BYTES : udpBytes(query.get());
    return Optional.of(answer(guest.get(), query.get()).toWire(most));
  }

  private static int udpBytes(Message query) {
    OPTRecord options = query.getOPT();
    return options == null
        ? PLAIN_UDP_BYTES
        : Math.clamp(options.getPayloadSize(), PLAIN_UDP_BYTES, UDP_BYTES);
  }

  private static Optional<Message> parse(byte[] bytes) {
    try {
      Message message = new Message(bytes);
      boolean isQuestion =
          !message.getHeader().getFlag(Flags.QR)
              && message.getHeader().getCount(Section.QUESTION) == 1
              && message.getSection(Section.QUESTION).size() == 1
              && message.getSection(Section.ANSWER).isEmpty()
              && message.getSection(Section.AUTHORITY).isEmpty();
      return isQuestion ? Optional.of(message) : Optional.empty();
    } catch (IOException | RuntimeException e) {
      return Optional.empty(); // Whatever dnsjava makes of it: it is the guest's.
    }
  }

  private Message answer(ResolvingGuest guest, Message query) {
    Record question = query.getQuestion();
    if (query.getHeader().getOpcode() != Opcode.QUERY || question.getDClass() != DClass.IN) {
      return reply(query, Rcode.NOTIMP);
    }
    List<NameRule> rules = rulesFor(guest, question);
    if (rules.isEmpty() && !guest.anyName()) {
      events.accept("queries_prohibited");
      return prohibited(query);
    }
    return switch (question.getType()) {
      // Guests have no IPv6; the others have addresses in them, as hints that nobody could reach.
      case Type.AAAA, Type.HTTPS, Type.SVCB -> reply(query, Rcode.NOERROR);
      case Type.ANY, Type.AXFR, Type.IXFR, Type.MAILA, Type.MAILB -> reply(query, Rcode.NOTIMP);
      default -> forward(guest, rules, query);
    };
  }

  private static List<NameRule> rulesFor(ResolvingGuest guest, Record question) {
    String name = question.getName().toString(true).toLowerCase(Locale.ROOT);
    return guest.names().stream().filter(rule -> matches(rule.name(), name)).toList();
  }

  private static boolean matches(String rule, String name) {
    return rule.startsWith("*.") ? name.endsWith(rule.substring(1)) : name.equals(rule);
  }

  private Message forward(ResolvingGuest guest, List<NameRule> rules, Message query) {
    Record question = query.getQuestion();
    Message found;
    try {
      found = upstream.ask(Message.newQuery(question));
    } catch (IOException e) {
      return failed(query, "upstream_failed", guest, e.toString());
    }
    int code = found.getRcode();
    if (code != Rcode.NOERROR && code != Rcode.NXDOMAIN) {
      return failed(query, "upstream_failed", guest, Rcode.string(code));
    }
    Message reply = reply(query, code);
    try {
      told(guest, rules, question, found)
          .forEach(record -> reply.addRecord(record, Section.ANSWER));
    } catch (IOException e) {
      return failed(query, "grants_failed", guest, e.toString());
    }
    found.getSection(Section.AUTHORITY).stream()
        .filter(record -> record.getType() == Type.SOA)
        .forEach(record -> reply.addRecord(shortened(record), Section.AUTHORITY));
    return reply;
  }

  private Message failed(Message query, String event, ResolvingGuest guest, String why) {
    LOG.log(Level.DEBUG, "{0}: {1}: {2}", guest.uid(), query.getQuestion().getName(), why);
    events.accept(event);
    return reply(query, Rcode.SERVFAIL);
  }

  private List<Record> told(
      ResolvingGuest guest, List<NameRule> rules, Record question, Message found)
      throws IOException {
    if (question.getType() == Type.A) {
      return addresses(guest, rules, Answer.of(question.getName(), found));
    }
    return found.getSection(Section.ANSWER).stream()
        .filter(record -> !(record instanceof ARecord))
        .map(GuestQueries::shortened)
        .toList();
  }

  /** What the guest is told of a name's addresses, having been let there. */
  private List<Record> addresses(ResolvingGuest guest, List<NameRule> rules, Answer answer)
      throws IOException {
    List<Record> told = new ArrayList<>();
    for (CNAMERecord alias : answer.aliases()) {
      told.add(shortened(alias));
    }
    for (ARecord record : answer.addresses()) {
      Inet4Address address = Answer.address(record);
      Verdict verdict = addresses.judge(address, guest.networks());
      if (verdict == Verdict.STRIP) {
        events.accept("addresses_stripped");
        continue;
      }
      if (verdict == Verdict.GRANT) {
        for (NameRule rule : rules) {
          grants.grant(guest.uid(), rule.index(), address, Duration.ofSeconds(record.getTTL()));
        }
      }
      told.add(shortened(record));
    }
    return told;
  }

  private static Record shortened(Record record) {
    return Record.newRecord(
        record.getName(),
        record.getType(),
        record.getDClass(),
        Math.min(record.getTTL(), LONGEST_TTL_SECONDS),
        record.rdataToWireCanonical());
  }

  private static Message prohibited(Message query) {
    Message reply = reply(query, Rcode.NXDOMAIN);
    if (query.getOPT() != null) {
      reply.removeAllRecords(Section.ADDITIONAL);
      reply.addRecord(
          new OPTRecord(
              UDP_BYTES,
              0,
              0,
              0,
              new ExtendedErrorCodeOption(
                  ExtendedErrorCodeOption.PROHIBITED, "no egress rule names it")),
          Section.ADDITIONAL);
    }
    return reply;
  }

  private static Message reply(Message query, int code) {
    Message reply = new Message(query.getHeader().getID());
    reply.getHeader().setOpcode(query.getHeader().getOpcode());
    reply.getHeader().setFlag(Flags.QR);
    reply.getHeader().setFlag(Flags.RA);
    if (query.getHeader().getFlag(Flags.RD)) {
      reply.getHeader().setFlag(Flags.RD);
    }
    reply.getHeader().setRcode(code);
    reply.addRecord(query.getQuestion(), Section.QUESTION);
    if (query.getOPT() != null) {
      reply.addRecord(new OPTRecord(UDP_BYTES, 0, 0), Section.ADDITIONAL);
    }
    return reply;
  }
}

#include "internet.h"

enum { ETHERTYPE_IPV4 = 0x0800, ETHERTYPE_ARP = 0x0806 };
enum { PROTOCOL_TCP = 6, PROTOCOL_UDP = 17 };
enum { ARP_REQUEST = 1, ARP_REPLY = 2, ARP_BYTES = 28 };

#define ARP_FRAME_BYTES (ETHERNET_HEADER_BYTES + ARP_BYTES)
#define ASK_AGAIN_NS 100000000ull

/* Network order is big-endian. */
static void put16(uint8_t *to, uint32_t value) {
  to[0] = (uint8_t)(value >> 8);
  to[1] = (uint8_t)value;
}

static void put32(uint8_t *to, uint32_t value) {
  put16(to, value >> 16);
  put16(to + 2, value & 0xffff);
}

static uint32_t get16(const uint8_t *from) { return (uint32_t)from[0] << 8 | from[1]; }
static uint32_t get32(const uint8_t *from) { return get16(from) << 16 | get16(from + 2); }

bool frame_copy(const struct received *frame, uint32_t from, void *to, uint32_t length) {
  uint8_t *target = to;
  for (unsigned i = 0; i < frame->parts && length > 0; i++) {
    if (from >= frame->lengths[i]) {
      from -= frame->lengths[i];
      continue;
    }
    uint32_t here = frame->lengths[i] - from < length ? frame->lengths[i] - from : length;
    memcpy(target, frame->bytes[i] + from, here);
    target += here;
    length -= here;
    from = 0;
  }
  return length == 0;
}

/* ---- ARP: RFC 826 ---- */

static void ethernet(const struct host *host, uint8_t *frame, const uint8_t *to, uint32_t type) {
  memcpy(frame, to, 6);
  memcpy(frame + 6, host->net->mac, 6);
  put16(frame + 12, type);
}

static void send_arp(const struct host *host, uint32_t operation, const uint8_t *to) {
  static const uint8_t everybody[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
  unsigned slot;
  struct net_header *header = net_slot(host->net, &slot);
  if (header == NULL) return; /* The host will ask again, and so will we. */
  memset(header, 0, sizeof *header);
  uint8_t *frame = net_frame(header), *arp = frame + ETHERNET_HEADER_BYTES;
  ethernet(host, frame, operation == ARP_REQUEST ? everybody : to, ETHERTYPE_ARP);
  put16(arp, 1); /* Ethernet */
  put16(arp + 2, ETHERTYPE_IPV4);
  put16(arp + 4, 6 << 8 | 4); /* lengths of addresses */
  put16(arp + 6, operation);
  memcpy(arp + 8, host->net->mac, 6);
  put32(arp + 14, host->probe);
  memcpy(arp + 18, to, 6);
  put32(arp + 24, host->address);
  net_send(host->net, slot, ARP_FRAME_BYTES);
  net_flush(host->net);
}

bool arp_handle(struct host *host, const struct received *frame) {
  uint8_t bytes[ARP_FRAME_BYTES];
  if (!frame_copy(frame, 0, bytes, sizeof bytes) || get16(bytes + 12) != ETHERTYPE_ARP) return false;
  const uint8_t *arp = bytes + ETHERNET_HEADER_BYTES;
  if (get32(arp + 14) != host->address) return true;
  memcpy(host->mac, arp + 8, 6);
  host->known = true;
  if (get16(arp + 6) == ARP_REQUEST && get32(arp + 24) == host->probe) send_arp(host, ARP_REPLY, host->mac);
  return true;
}

bool host_find(struct host *host, uint64_t deadline_ns) {
  static const uint8_t unknown[6];
  uint64_t ask_again = 0;
  for (uint64_t now = clock_ns(); !host->known && now < deadline_ns; now = clock_ns()) {
    if (now >= ask_again) {
      send_arp(host, ARP_REQUEST, unknown);
      ask_again = now + ASK_AGAIN_NS;
    }
    struct received frame;
    if (net_receive(host->net, &frame)) {
      arp_handle(host, &frame);
      net_release(host->net, &frame);
    } else {
      net_wait(host->net, ask_again);
    }
  }
  return host->known;
}

/* RFC 6335 */
#define FIRST_EPHEMERAL_PORT 49152u

/* ---- IPv4: RFC 791, UDP: RFC 768, TCP: RFC 9293 ---- */

/* RFC 1071, over 16-bit words in network order; `odd` tells whether the first byte is the second of a word. */
static uint64_t sum(uint64_t start, const uint8_t *bytes, uint32_t length, bool odd) {
  for (uint32_t i = 0; i < length; i++) start += ((i & 1) != 0) == odd ? (uint64_t)bytes[i] << 8 : bytes[i];
  return start;
}

static uint32_t fold(uint64_t sum) {
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  return (uint32_t)sum;
}

static uint32_t pseudo_header(uint32_t source, uint32_t destination, uint32_t protocol, uint32_t length) {
  return fold((source >> 16) + (source & 0xffff) + (destination >> 16) + (destination & 0xffff) + protocol + length);
}

static void ip(const struct host *host, uint8_t *frame, uint32_t destination, uint32_t protocol, uint32_t length) {
  ethernet(host, frame, host->mac, ETHERTYPE_IPV4);
  uint8_t *header = frame + ETHERNET_HEADER_BYTES;
  memset(header, 0, IP_HEADER_BYTES);
  header[0] = 0x45;
  put16(header + 2, IP_HEADER_BYTES + length);
  put16(header + 6, 0x4000); /* do not fragment */
  header[8] = 64;
  header[9] = (uint8_t)protocol;
  put32(header + 12, host->probe);
  put32(header + 16, destination);
  put16(header + 10, ~fold(sum(0, header, IP_HEADER_BYTES, false)) & 0xffff);
}

/* 5.1.6.2: the checksum is the host's to compute, from `start` on, on top of the pseudo-header's that is there. */
static void leave_checksum(struct net_header *header, uint16_t start, uint16_t offset) {
  *header = (struct net_header){.flags = NET_NEEDS_CSUM, .csum_start = start, .csum_offset = offset};
}

static uint8_t *udp(const struct host *host, uint8_t *frame, uint32_t destination, uint16_t port, uint32_t length) {
  ip(host, frame, destination, PROTOCOL_UDP, length);
  uint8_t *header = frame + ETHERNET_HEADER_BYTES + IP_HEADER_BYTES;
  put16(header, FIRST_EPHEMERAL_PORT + port); /* which anybody may have, also who translates addresses */
  put16(header + 2, port);
  put16(header + 4, length);
  put16(header + 6, 0);
  return header;
}

uint32_t udp_wrap(const struct host *host, struct net_header *header, uint16_t port, uint32_t payload_bytes,
                  bool offload) {
  uint32_t length = UDP_HEADER_BYTES + payload_bytes;
  uint8_t *datagram = udp(host, net_frame(header), host->peer, port, length);
  uint32_t pseudo = pseudo_header(host->probe, host->peer, PROTOCOL_UDP, length);
  if (offload) {
    leave_checksum(header, ETHERNET_HEADER_BYTES + IP_HEADER_BYTES, 6);
    put16(datagram + 6, pseudo);
  } else {
    memset(header, 0, sizeof *header);
    uint32_t checksum = ~fold(sum(pseudo, datagram, length, false)) & 0xffff;
    put16(datagram + 6, checksum == 0 ? 0xffff : checksum);
  }
  return UDP_OVERHEAD_BYTES + payload_bytes;
}

uint32_t udp_wrap_reflected(const struct host *host, struct net_header *header, uint32_t payload_bytes) {
  memset(header, 0, sizeof *header);
  udp(host, net_frame(header), REFLECTED_ADDRESS, 9, UDP_HEADER_BYTES + payload_bytes);
  return UDP_OVERHEAD_BYTES + payload_bytes;
}

uint32_t tcp_wrap(const struct host *host, struct net_header *header, uint32_t payload_bytes,
                  uint32_t segment_bytes) {
  uint32_t length = TCP_HEADER_BYTES + payload_bytes;
  uint8_t *frame = net_frame(header), *segment = frame + ETHERNET_HEADER_BYTES + IP_HEADER_BYTES;
  ip(host, frame, REFLECTED_ADDRESS, PROTOCOL_TCP, length);
  memset(segment, 0, TCP_HEADER_BYTES);
  put16(segment, 9);
  put16(segment + 2, 9);
  segment[12] = 5 << 4; /* words of header */
  segment[13] = 0x10;   /* ACK */
  put16(segment + 14, 0xffff);
  put16(segment + 16, pseudo_header(host->probe, REFLECTED_ADDRESS, PROTOCOL_TCP, length));
  leave_checksum(header, ETHERNET_HEADER_BYTES + IP_HEADER_BYTES, 16);
  if (payload_bytes > segment_bytes) {
    header->gso_type = NET_GSO_TCPV4;
    header->gso_size = (uint16_t)segment_bytes;
    header->hdr_len = TCP_OVERHEAD_BYTES;
  }
  return TCP_OVERHEAD_BYTES + payload_bytes;
}

enum { TCP_FIN = 1, TCP_SYN = 2, TCP_RST = 4, TCP_PSH = 8, TCP_ACK = 16 };
#define FIRST_SEQUENCE 1000u

void tcp_answer(const struct host *host, const struct received *frame, uint16_t port, const char *greeting) {
  uint8_t headers[TCP_OVERHEAD_BYTES];
  if (!frame_copy(frame, 0, headers, sizeof headers) || get16(headers + 12) != ETHERTYPE_IPV4) return;
  const uint8_t *packet = headers + ETHERNET_HEADER_BYTES, *theirs = packet + IP_HEADER_BYTES;
  if (packet[0] != 0x45 || packet[9] != PROTOCOL_TCP || get16(theirs + 2) != port) return;
  uint32_t payload = get16(packet + 2) - IP_HEADER_BYTES - (theirs[12] >> 4) * 4u;
  uint32_t sequence = get32(theirs + 8), received = get32(theirs + 4) + payload;
  uint32_t flags = TCP_ACK, length = TCP_HEADER_BYTES;
  if ((theirs[13] & TCP_RST) != 0) return;
  if ((theirs[13] & TCP_SYN) != 0) {
    flags |= TCP_SYN;
    sequence = FIRST_SEQUENCE;
    received++;
  } else if (payload > 0) {
    flags |= TCP_PSH | TCP_FIN;
    while (greeting[length - TCP_HEADER_BYTES] != 0) length++;
  } else if ((theirs[13] & TCP_FIN) == 0) {
    return;
  }
  if ((theirs[13] & TCP_FIN) != 0) received++;
  unsigned slot;
  struct net_header *header = net_slot(host->net, &slot);
  if (header == NULL) return; /* They will say it again. */
  memset(header, 0, sizeof *header);
  ip(host, net_frame(header), get32(packet + 12), PROTOCOL_TCP, length);
  uint8_t *ours = net_frame(header) + ETHERNET_HEADER_BYTES + IP_HEADER_BYTES;
  memset(ours, 0, TCP_HEADER_BYTES);
  put16(ours, port);
  put16(ours + 2, get16(theirs));
  put32(ours + 4, sequence);
  put32(ours + 8, received);
  ours[12] = 5 << 4; /* words of header */
  ours[13] = (uint8_t)flags;
  put16(ours + 14, 0xffff);
  memcpy(ours + TCP_HEADER_BYTES, greeting, length - TCP_HEADER_BYTES);
  uint32_t pseudo = pseudo_header(host->probe, get32(packet + 12), PROTOCOL_TCP, length);
  put16(ours + 16, ~fold(sum(pseudo, ours, length, false)) & 0xffff);
  net_send(host->net, slot, ETHERNET_HEADER_BYTES + IP_HEADER_BYTES + length);
  net_flush(host->net);
}

bool udp_is_sound(const struct host *host, const struct received *frame, uint16_t port) {
  uint8_t headers[UDP_OVERHEAD_BYTES];
  if (!frame_copy(frame, 0, headers, sizeof headers) || get16(headers + 12) != ETHERTYPE_IPV4) return false;
  const uint8_t *packet = headers + ETHERNET_HEADER_BYTES, *datagram = packet + IP_HEADER_BYTES;
  uint32_t length = get16(datagram + 4);
  if (packet[0] != 0x45 || fold(sum(0, packet, IP_HEADER_BYTES, false)) != 0xffff || packet[9] != PROTOCOL_UDP ||
      get32(packet + 12) != host->peer || get32(packet + 16) != host->probe || get16(datagram) != port ||
      length < UDP_HEADER_BYTES || frame->length < ETHERNET_HEADER_BYTES + IP_HEADER_BYTES + length) {
    return false;
  }
  /* 5.1.6.4.1: with NEEDS_CSUM it is in memory only and not computed, with DATA_VALID somebody has looked. */
  if ((frame->header->flags & (NET_NEEDS_CSUM | NET_DATA_VALID)) != 0 || get16(datagram + 6) == 0) return true;
  uint64_t total = pseudo_header(host->peer, host->probe, PROTOCOL_UDP, length);
  uint32_t skip = ETHERNET_HEADER_BYTES + IP_HEADER_BYTES, done = 0;
  for (unsigned i = 0; i < frame->parts && done < length; i++) {
    if (skip >= frame->lengths[i]) {
      skip -= frame->lengths[i];
      continue;
    }
    uint32_t here = frame->lengths[i] - skip < length - done ? frame->lengths[i] - skip : length - done;
    total = sum(total, frame->bytes[i] + skip, here, (done & 1) != 0);
    done += here;
    skip = 0;
  }
  return fold(total) == 0xffff;
}

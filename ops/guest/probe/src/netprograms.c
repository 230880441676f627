#include "netprograms.h"

#include "internet.h"

#define ECHO_PORT 7
#define HTTP_PORT 80
#define ETHERNET_MTU 1500u
#define SECOND_NS 1000000000ull

/* What has not come back after this long is lost. */
#define PATIENCE_NS 500000000ull

/* The first bytes of each payload. */
struct tag {
  uint64_t number, seed;
};

static struct net net;
static struct host host = {.net = &net, .address = HOST_ADDRESS, .probe = PROBE_ADDRESS};

static bool report(const char *problem) {
  if (problem != NULL) print("error=%s\n", problem);
  return problem == NULL;
}

/* probe.offload, probe.mrg and probe.event_idx leave features out. */
static bool open_net(uint32_t frame_bytes) {
  uint64_t wanted = VIRTIO_NET_F_MTU;
  if (argument_number("offload", 1) != 0) {
    wanted |= VIRTIO_NET_F_CSUM | VIRTIO_NET_F_GUEST_CSUM | VIRTIO_NET_F_GUEST_TSO4 | VIRTIO_NET_F_HOST_TSO4;
  }
  if (argument_number("mrg", 1) != 0) wanted |= VIRTIO_NET_F_MRG_RXBUF;
  if (argument_number("event_idx", 1) != 0) wanted |= VIRTIO_F_EVENT_IDX;
  return report(net_open(&net, wanted, argument_is("mode", "poll", "irq"), frame_bytes));
}

bool net_info(void) {
  if (!open_net(ETHERNET_MTU)) return false;
  print("mac=");
  for (unsigned i = 0; i < sizeof net.mac; i++) {
    print("%x%x%s", (uint64_t)net.mac[i] >> 4, (uint64_t)net.mac[i] & 15, i < 5 ? ":" : "\n");
  }
  print("link_up=%u\nmtu=%u\nfeatures=0x%x\nqueue_size=%u\n", (uint64_t)net_link_up(&net),
        (uint64_t)virtio_config32(&net.device, 8) >> 16, net.device.features, (uint64_t)net.receive->size);
  return true;
}

static bool find_host(void) {
  argument_network(&host.probe, &host.address);
  host.peer = (uint32_t)argument_number("peer", host.address);
  bool found = host_find(&host, clock_ns() + 10 * SECOND_NS);
  return report(found ? NULL : "the host does not answer");
}

/* Byte `i` of the payload of this tag, behind the tag. */
static uint8_t pattern(const struct tag *tag, uint32_t i) { return (uint8_t)(tag->number * 7 + tag->seed + i + i / 253); }

static void fill(uint8_t *payload, const struct tag *tag, uint32_t length) {
  memcpy(payload, tag, sizeof *tag);
  for (uint32_t i = sizeof *tag; i < length; i++) payload[i] = pattern(tag, i);
}

static bool is_whole(const struct received *frame, uint32_t overhead, const struct tag *tag, uint32_t length) {
  if (frame->length != overhead + length) return false;
  uint32_t at = 0;
  for (unsigned part = 0; part < frame->parts; part++) {
    for (uint32_t i = 0; i < frame->lengths[part]; i++, at++) {
      uint32_t place = at - overhead;
      if (at >= overhead + sizeof *tag && frame->bytes[part][i] != pattern(tag, place)) return false;
    }
  }
  return true;
}

/* A conversation with the host: so many packets at once, each of which comes back. */
struct exchange {
  uint32_t payload_bytes, overhead_bytes, depth;
  bool verify, echoed; /* by the host's echo service */
  uint64_t seed, sent, received, lost, wrong, strangers;
};

static void receive_one(struct exchange *exchange, const struct received *frame) {
  if (arp_handle(&host, frame)) return;
  struct tag tag;
  bool ours = frame_copy(frame, exchange->overhead_bytes, &tag, sizeof tag) && tag.seed == exchange->seed;
  if (!ours || tag.number >= exchange->sent) {
    exchange->strangers++;
    return;
  }
  exchange->received++;
  if (!exchange->verify) return;
  bool sound = !exchange->echoed || udp_is_sound(&host, frame, ECHO_PORT);
  if (!sound || !is_whole(frame, exchange->overhead_bytes, &tag, exchange->payload_bytes)) exchange->wrong++;
}

/* Takes what has come; waits if that is nothing. What is overdue then is given up. */
static void receive(struct exchange *exchange) {
  static uint64_t last_ns;
  struct received frame;
  bool any = false;
  while (net_receive(&net, &frame)) {
    receive_one(exchange, &frame);
    net_release(&net, &frame);
    any = true;
  }
  if (any) {
    last_ns = 0;
    return;
  }
  uint64_t now = clock_ns();
  if (last_ns == 0) last_ns = now;
  if (now - last_ns > PATIENCE_NS) {
    exchange->lost = exchange->sent - exchange->received;
    last_ns = 0;
  } else {
    net_wait(&net, last_ns + PATIENCE_NS + 1);
  }
}

static uint64_t in_flight(const struct exchange *exchange) {
  return exchange->sent - exchange->received - exchange->lost;
}

static bool read_exchange(struct exchange *exchange, uint32_t default_bytes) {
  uint32_t bytes = (uint32_t)argument_number("block", default_bytes);
  exchange->depth = (uint32_t)argument_number("depth", 1);
  exchange->seed = argument_number("seed", 1) + 0x5a17ull;
  uint32_t least = exchange->overhead_bytes + (uint32_t)sizeof(struct tag);
  if (bytes < least || bytes > FRAME_MAX) {
    print("error=probe.block must be %u to %u\n", (uint64_t)least, (uint64_t)FRAME_MAX);
    return false;
  }
  uint32_t depth_max = net_slots(bytes) - 1; /* one is for ARP */
  if (exchange->depth == 0 || exchange->depth > depth_max) {
    print("error=probe.depth must be 1 to %u\n", (uint64_t)depth_max);
    return false;
  }
  exchange->payload_bytes = bytes - exchange->overhead_bytes;
  return true;
}

/* Datagrams to the echo service of the host, or of a peer behind it, whose kernel looks at each checksum; they come back as they were. */
bool net_verify(void) {
  struct exchange exchange = {.overhead_bytes = UDP_OVERHEAD_BYTES, .verify = true, .echoed = true};
  if (!read_exchange(&exchange, 1000) || !open_net(exchange.overhead_bytes + exchange.payload_bytes) || !find_host()) return false;
  bool offload = (net.device.features & VIRTIO_NET_F_CSUM) != 0;
  uint64_t operations = argument_number("ops", 1000);
  while (exchange.sent < operations || in_flight(&exchange) > 0) {
    unsigned slot;
    struct net_header *header;
    while (exchange.sent < operations && in_flight(&exchange) < exchange.depth &&
           (header = net_slot(&net, &slot)) != NULL) {
      struct tag tag = {.number = exchange.sent++, .seed = exchange.seed};
      fill(net_frame(header) + UDP_OVERHEAD_BYTES, &tag, exchange.payload_bytes);
      net_send(&net, slot, udp_wrap(&host, header, ECHO_PORT, exchange.payload_bytes, offload));
    }
    net_flush(&net);
    receive(&exchange);
  }
  print("sent=%u\nreceived=%u\nlost=%u\nwrong=%u\nstrangers=%u\n", exchange.sent, exchange.received, exchange.lost,
        exchange.wrong, exchange.strangers);
  return exchange.received == operations && exchange.wrong == 0;
}

/* Packets that the host's kernel routes back: out and in again. Above the MTU they are segments of TCP, uncut. */
bool net_rate(void) {
  struct exchange exchange = {.verify = argument_number("verify", 0) != 0};
  bool segments = argument_number("block", 64) > ETHERNET_HEADER_BYTES + ETHERNET_MTU;
  exchange.overhead_bytes = segments ? TCP_OVERHEAD_BYTES : UDP_OVERHEAD_BYTES;
  if (!read_exchange(&exchange, 64) || !open_net(exchange.overhead_bytes + exchange.payload_bytes) || !find_host()) return false;
  if (segments && (net.device.features & VIRTIO_NET_F_HOST_TSO4) == 0) return report("the device takes no large segments");
  uint64_t operations = argument_number("ops", 1000);
  uint64_t duration_ns = argument_number("duration_ms", 0) * 1000000;
  uint32_t irq = net.device.window.irq;
  uint64_t interrupts = interrupt_count(irq), start = read_tsc(), elapsed_ns = 0;
  bool more = true;
  while (more || in_flight(&exchange) > 0) {
    unsigned slot;
    struct net_header *header;
    while (more && in_flight(&exchange) < exchange.depth && (header = net_slot(&net, &slot)) != NULL) {
      uint8_t *payload = net_frame(header) + exchange.overhead_bytes;
      struct tag tag = {.number = exchange.sent++, .seed = exchange.seed};
      if (exchange.verify) {
        fill(payload, &tag, exchange.payload_bytes);
      } else {
        memcpy(payload, &tag, sizeof tag);
      }
      net_send(&net, slot,
               segments ? tcp_wrap(&host, header, exchange.payload_bytes, ETHERNET_MTU - IP_HEADER_BYTES - TCP_HEADER_BYTES)
                        : udp_wrap_reflected(&host, header, exchange.payload_bytes));
      more = operations == 0 || exchange.sent < operations;
    }
    net_flush(&net);
    receive(&exchange);
    elapsed_ns = ticks_to_ns(read_tsc() - start);
    if (duration_ns != 0 && elapsed_ns >= duration_ns) more = false;
  }
  uint64_t packets_per_second = elapsed_ns == 0 ? 0 : exchange.received * SECOND_NS / elapsed_ns;
  print("sent=%u\nreceived=%u\nlost=%u\nwrong=%u\nstrangers=%u\nelapsed_ns=%u\n", exchange.sent, exchange.received,
        exchange.lost, exchange.wrong, exchange.strangers, elapsed_ns);
  print("packets_per_second=%u\nbytes_per_second=%u\n", packets_per_second,
        packets_per_second * (exchange.overhead_bytes + exchange.payload_bytes));
  print("notifications=%u\nnotifications_suppressed=%u\ninterrupts=%u\nsleeps=%u\n",
        net.receive->notifications + net.transmit->notifications,
        net.receive->notifications_suppressed + net.transmit->notifications_suppressed,
        interrupt_count(irq) - interrupts, net.device.sleeps);
  return exchange.received > 0 && exchange.wrong == 0;
}

/* Whoever sends something to port 80 is greeted, until the power button is pressed. */
bool net_serve(void) {
  if (!open_net(ETHERNET_HEADER_BYTES + ETHERNET_MTU) || !find_host()) return false;
  while (!power_button_pressed()) {
    struct received frame;
    if (net_receive(&net, &frame)) {
      if (!arp_handle(&host, &frame)) tcp_answer(&host, &frame, HTTP_PORT, "hello from the probe\n");
      net_release(&net, &frame);
    } else {
      net_wait(&net, clock_ns() + SECOND_NS / 10);
    }
  }
  return true;
}

/* ---- rules broken ---- */

#define IN_THE_HOLE 0xd8000000ull
#define LARGEST_BYTES (sizeof(struct net_header) + 18 + 65535)

/* One buffer in the transmit queue, which comes back whatever is in it. */
static void transmit_raw(uint64_t address, uint64_t length, uint16_t flags) {
  unsigned slot;
  while (net_slot(&net, &slot) == NULL) pause_cpu();
  net.transmit->descriptors[slot] =
      (struct descriptor){.address = address, .length = (uint32_t)length, .flags = flags};
  virtqueue_add(net.transmit, (uint16_t)slot);
  net_flush(&net);
  int head;
  while ((head = virtqueue_take_used(net.transmit)) < 0) pause_cpu();
  net.free_slots[net.free_slot_count++] = (unsigned)head;
}

static void transmit_with(struct net_header header) {
  static struct {
    struct net_header header;
    uint8_t frame[60];
  } packet;
  packet.header = header;
  transmit_raw((uintptr_t)&packet, sizeof packet, 0);
}

bool net_hostile(void) {
  if (!open_net(ETHERNET_MTU)) return false;
  static uint8_t bytes[LARGEST_BYTES + 1];
  /* No frames at all. */
  transmit_raw((uintptr_t)bytes, sizeof(struct net_header) - 1, 0);
  transmit_raw((uintptr_t)bytes, sizeof(struct net_header), 0);
  transmit_raw((uintptr_t)bytes, sizeof bytes, 0);
  transmit_raw((uintptr_t)bytes, sizeof bytes, DESCRIPTOR_WRITE);
  transmit_raw((uintptr_t)bytes, 0, 0);
  transmit_raw(IN_THE_HOLE, 100, 0);
  transmit_raw(boot_memory_end() - 1, 100, 0);
  transmit_raw(~0ull - 50, 100, 0);
  /* Headers that are not true: checksums and segments of what is not there. */
  transmit_with((struct net_header){.flags = NET_NEEDS_CSUM, .csum_start = 60000});
  transmit_with((struct net_header){.gso_type = 0x7f, .gso_size = 1});
  transmit_with((struct net_header){.gso_type = NET_GSO_TCPV4, .gso_size = 0});
  /* The host hears what comes after it, and answers. */
  return find_host();
}

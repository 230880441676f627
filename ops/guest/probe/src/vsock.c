#include "vsock.h"

#include "agent.h"
#include "virtio.h"

#define HOST_CID 2
#define TYPE_STREAM 1
enum { REQUEST = 1, RESPONSE, RST, SHUTDOWN, RW, CREDIT_UPDATE, CREDIT_REQUEST };
enum { SHUTDOWN_RECEIVE = 1, SHUTDOWN_SEND = 2, SHUTDOWN_BOTH = 3 };
enum { RX, TX, EVENT, QUEUES };

/* 5.10.6 struct virtio_vsock_hdr */
struct header {
  uint64_t source_cid, destination_cid;
  uint32_t source_port, destination_port, length;
  uint16_t type, operation;
  uint32_t flags, buffer_size, forwarded;
} __attribute__((packed));

#define PAYLOAD 4096
struct packet {
  struct header header;
  uint8_t data[PAYLOAD];
} __attribute__((packed));

#define RX_PACKETS 128
#define TX_PACKETS 64
static struct packet rx_packets[RX_PACKETS], tx_packets[TX_PACKETS];

/* What a connection that echoes has room for, which the host is told as its credit; of the others, only those of the agent
 * keep anything: the host's first message, and then the answer. */
#define ROOM 2048
#define NO_LIMIT 65536
#define SINK_ROOM 262144 /* as Linux gives by default */
#define CONNECTIONS_MAX 2048
#define FIRST_PORT 10000 /* of the guest's own connections */

/* 5.10.6.3: counters are free-running. */
struct connection {
  uint32_t guest_port, host_port;
  uint32_t host_buffer, host_forwarded, sent;
  uint32_t received, forwarded, told_forwarded;
  uint32_t held; /* bytes to be echoed, in `room` from `forwarded` on, as in a ring; or in all of the agent's answer */
  uint8_t host_shutdown;
  bool open, established, ending, stalled, answered;
  uint8_t room[ROOM];
};

static struct {
  struct virtio_device device;
  uint64_t cid;
  struct connection connections[CONNECTIONS_MAX];
  uint32_t free_packets[TX_PACKETS], free_count;
  /* of the program */
  bool echoes, answers, sinks, sources;
  uint32_t listen_port, message;
  uint64_t bytes_each;
  uint64_t opened, closed, refused, resets, sent, received, wrong, stalls;
} vsock;

static struct virtqueue *rx(void) { return &vsock.device.queues[RX]; }
static struct virtqueue *tx(void) { return &vsock.device.queues[TX]; }

static void offer_rx(uint16_t index) {
  rx()->descriptors[index] = (struct descriptor){
      .address = (uintptr_t)&rx_packets[index], .length = sizeof rx_packets[index], .flags = DESCRIPTOR_WRITE};
  virtqueue_add(rx(), index);
}

static bool start(void) {
  struct device_window window;
  const char *problem = virtio_find(VIRTIO_ID_VSOCK, 0, &window);
  if (problem == NULL) problem = virtio_start(&vsock.device, &window, VIRTIO_F_EVENT_IDX, QUEUES);
  if (problem != NULL) {
    print("error=%s\n", problem);
    return false;
  }
  vsock.cid = virtio_config32(&vsock.device, 0);
  interrupt_unmask_edge(window.irq);
  for (uint16_t i = 0; i < RX_PACKETS; i++) offer_rx(i);
  virtqueue_notify(rx());
  for (uint32_t i = 0; i < TX_PACKETS; i++) vsock.free_packets[vsock.free_count++] = i;
  return true;
}

/* ---- sending ---- */

static void collect_sent(void) {
  int head;
  while ((head = virtqueue_take_used(tx())) >= 0) vsock.free_packets[vsock.free_count++] = (uint32_t)head;
}

/* The device takes packets whatever becomes of them, so there always is a free one in the end. */
static uint32_t free_packet(void) {
  while (vsock.free_count == 0) {
    virtqueue_notify(tx());
    collect_sent();
    pause_cpu();
  }
  return vsock.free_packets[--vsock.free_count];
}

static uint32_t credit_given(void) {
  if (vsock.sinks) return SINK_ROOM;
  return vsock.echoes ? ROOM : NO_LIMIT;
}

static void send(struct connection *connection, uint16_t operation, uint32_t flags, uint32_t index, uint32_t length) {
  struct packet *packet = &tx_packets[index];
  packet->header = (struct header){.source_cid = vsock.cid,
                                   .destination_cid = HOST_CID,
                                   .source_port = connection->guest_port,
                                   .destination_port = connection->host_port,
                                   .length = length,
                                   .type = TYPE_STREAM,
                                   .operation = operation,
                                   .flags = flags,
                                   .buffer_size = credit_given(),
                                   .forwarded = connection->forwarded};
  connection->told_forwarded = connection->forwarded;
  tx()->descriptors[index] =
      (struct descriptor){.address = (uintptr_t)packet, .length = (uint32_t)sizeof packet->header + length};
  virtqueue_add(tx(), (uint16_t)index);
}

static void control(struct connection *connection, uint16_t operation, uint32_t flags) {
  send(connection, operation, flags, free_packet(), 0);
}

/* ---- connections ---- */

static bool is_of(const struct connection *connection, const struct header *header) {
  return connection->open && connection->guest_port == header->destination_port &&
         connection->host_port == header->source_port;
}

/* Those of the guest are where their port says, those of the host not long after. */
static struct connection *find(const struct header *header) {
  uint32_t own = header->destination_port - FIRST_PORT;
  if (own < CONNECTIONS_MAX) return is_of(&vsock.connections[own], header) ? &vsock.connections[own] : NULL;
  for (uint32_t i = 0; i < CONNECTIONS_MAX; i++) {
    struct connection *connection = &vsock.connections[(header->source_port + i) % CONNECTIONS_MAX];
    if (is_of(connection, header)) return connection;
  }
  return NULL;
}

static struct connection *open_at(uint64_t place, uint32_t guest_port, uint32_t host_port) {
  struct connection *connection = &vsock.connections[place % CONNECTIONS_MAX];
  while (connection->open) connection = &vsock.connections[++place % CONNECTIONS_MAX];
  memset(connection, 0, offsetof(struct connection, room));
  connection->open = true;
  connection->guest_port = guest_port;
  connection->host_port = host_port;
  vsock.opened++;
  return connection;
}

static void close(struct connection *connection) {
  connection->open = false;
  vsock.closed++;
}

static uint8_t pattern(const struct connection *connection, uint32_t offset) {
  return (uint8_t)(offset * 31 + (offset >> 8) + connection->guest_port * 7);
}

static uint32_t credit(const struct connection *connection) {
  uint32_t in_flight = connection->sent - connection->host_forwarded;
  return in_flight >= connection->host_buffer ? 0 : connection->host_buffer - in_flight;
}

/* The next bytes that this connection has to send; how many. */
static uint32_t next_bytes(struct connection *connection, uint8_t *data, uint32_t most) {
  uint32_t count = 0;
  if (vsock.echoes) {
    while (count < most && count < connection->held) {
      data[count] = connection->room[(connection->forwarded + count) % ROOM];
      count++;
    }
    connection->held -= count;
    connection->forwarded += count;
  } else if (vsock.answers) {
    while (count < most && connection->sent + count < connection->held) {
      data[count] = connection->room[connection->sent + count];
      count++;
    }
  } else if (vsock.sources) {
    uint64_t left = vsock.bytes_each - connection->sent;
    count = left < most ? (uint32_t)left : most;
  } else {
    uint64_t left = vsock.bytes_each - connection->sent;
    while (count < most && count < left) {
      data[count] = pattern(connection, connection->sent + count);
      count++;
    }
  }
  return count;
}

static bool has_more(const struct connection *connection) {
  if (vsock.echoes) return connection->held > 0;
  return connection->sent < (vsock.answers ? connection->held : vsock.bytes_each);
}

static bool is_done(const struct connection *connection) {
  if (vsock.echoes) return connection->host_shutdown & SHUTDOWN_SEND && connection->held == 0;
  if (vsock.sinks) return connection->host_shutdown & SHUTDOWN_SEND;
  if (vsock.sources) return connection->sent == vsock.bytes_each;
  if (vsock.answers) return connection->answered && connection->sent == connection->held;
  return connection->received == vsock.bytes_each && vsock.message == 0;
}

/* Sends what there is to send, as far as the host has room. */
static void advance(struct connection *connection) {
  if (!connection->established || connection->ending) return;
  for (;;) {
    uint32_t index = free_packet();
    uint32_t room = credit(connection);
    uint32_t most = room < PAYLOAD ? room : PAYLOAD;
    uint32_t count = next_bytes(connection, tx_packets[index].data, most);
    if (count == 0) {
      vsock.free_packets[vsock.free_count++] = index;
      bool more = has_more(connection);
      if (more && !connection->stalled) vsock.stalls++;
      connection->stalled = more;
      break;
    }
    send(connection, RW, 0, index, count);
    connection->sent += count;
    vsock.sent += count;
  }
  if (is_done(connection)) {
    control(connection, SHUTDOWN, SHUTDOWN_BOTH);
    connection->ending = true;
  }
}

/* ---- receiving ---- */

/* The first message is all that is heeded; one that does not fit is as malformed as one that is no message. */
static void take_request(struct connection *connection, const struct packet *packet) {
  uint32_t length = packet->header.length;
  if (connection->answered) return;
  if (length > ROOM - connection->received) {
    connection->answered = true;
    return;
  }
  memcpy(connection->room + connection->received, packet->data, length);
  connection->answered = agent_answer(connection->room, connection->received + length, connection->room, &connection->held);
}

static void data(struct connection *connection, const struct packet *packet) {
  if (vsock.answers) take_request(connection, packet);
  for (uint32_t i = 0; i < packet->header.length && !vsock.sinks; i++) {
    if (vsock.echoes) {
      connection->room[(connection->forwarded + connection->held++) % ROOM] = packet->data[i];
    } else if (!vsock.answers) {
      vsock.wrong += packet->data[i] != pattern(connection, connection->received + i);
    }
  }
  connection->received += packet->header.length;
  vsock.received += packet->header.length;
  if (vsock.echoes && connection->held > ROOM) vsock.wrong++; /* more than the host was told it might send */
  if (!vsock.echoes) connection->forwarded = connection->received;
}

static void received(const struct packet *packet) {
  const struct header *header = &packet->header;
  struct connection *connection = find(header);
  if (header->operation == REQUEST && connection == NULL && header->destination_port == vsock.listen_port &&
      vsock.opened - vsock.closed < CONNECTIONS_MAX) {
    connection = open_at(header->source_port, header->destination_port, header->source_port);
    connection->established = true;
    control(connection, RESPONSE, 0);
  } else if (connection == NULL) {
    vsock.resets++;
    if (header->operation != RST) {
      static struct connection nobody;
      nobody.guest_port = header->destination_port;
      nobody.host_port = header->source_port;
      control(&nobody, RST, 0);
    }
    return;
  }
  connection->host_buffer = header->buffer_size;
  connection->host_forwarded = header->forwarded;
  switch (header->operation) {
  case RESPONSE: connection->established = true; break;
  case RW: data(connection, packet); break;
  case CREDIT_REQUEST: control(connection, CREDIT_UPDATE, 0); break;
  case SHUTDOWN:
    connection->host_shutdown |= (uint8_t)header->flags;
    if (connection->host_shutdown == SHUTDOWN_BOTH) {
      control(connection, RST, 0);
      close(connection);
      return;
    }
    break;
  case RST:
    if (!connection->established) vsock.refused++;
    close(connection);
    return;
  default: break;
  }
  advance(connection);
  if (connection->received - connection->told_forwarded >= credit_given() / 2 &&
      connection->forwarded != connection->told_forwarded) {
    control(connection, CREDIT_UPDATE, 0);
  }
}

/* Handles what has come, and sleeps for more if nothing has. */
static void work(void) {
  bool some = false;
  int head;
  while ((head = virtqueue_take_used(rx())) >= 0) {
    received(&rx_packets[head]);
    offer_rx((uint16_t)head);
    some = true;
  }
  virtqueue_notify(rx());
  virtqueue_notify(tx());
  collect_sent();
  if (!some) virtio_sleep_until_used(&vsock.device, 1);
}

/* ---- programs ---- */

static void report(void) {
  print("cid=%u\nopened=%u\nclosed=%u\nrefused=%u\nresets=%u\n", vsock.cid, vsock.opened, vsock.closed, vsock.refused,
        vsock.resets);
  print("bytes_sent=%u\nbytes_received=%u\nwrong_bytes=%u\nstalls=%u\n", vsock.sent, vsock.received, vsock.wrong,
        vsock.stalls);
}

bool vsock_echo(void) {
  if (!start()) return false;
  vsock.echoes = true;
  vsock.listen_port = (uint32_t)argument_number("port", 1024);
  uint64_t connections = argument_number("connections", 1);
  print("cid=%u\nlistening=%u\n", vsock.cid, (uint64_t)vsock.listen_port);
  while (vsock.closed < connections && !power_button_pressed()) work();
  report();
  return vsock.wrong == 0;
}

static bool serve_one(void) {
  vsock.listen_port = (uint32_t)argument_number("port", 1024);
  print("cid=%u\nlistening=%u\n", vsock.cid, (uint64_t)vsock.listen_port);
  while (vsock.closed == 0 && !power_button_pressed()) work();
  report();
  return vsock.sent == vsock.bytes_each;
}

bool vsock_sink(void) {
  if (!start()) return false;
  vsock.sinks = true;
  return serve_one();
}

bool vsock_source(void) {
  if (!start()) return false;
  vsock.sources = true;
  vsock.bytes_each = argument_number("bytes", 1 << 20);
  return serve_one();
}

bool vsock_agent(void) {
  if (!start()) return false;
  vsock.answers = true;
  vsock.listen_port = (uint32_t)argument_number("port", 52);
  print("cid=%u\nlistening=%u\n", vsock.cid, (uint64_t)vsock.listen_port);
  while (!power_button_pressed()) work();
  report();
  return true;
}

static void connect_all(uint64_t connections) {
  uint32_t port = (uint32_t)argument_number("port", 1024);
  for (uint64_t i = 0; i < connections; i++) {
    control(open_at(i, FIRST_PORT + (uint32_t)i, port), REQUEST, 0);
  }
}

bool vsock_verify(void) {
  if (!start()) return false;
  uint64_t connections = argument_number("connections", 1);
  if (connections > CONNECTIONS_MAX) {
    print("error=at most %u connections\n", (uint64_t)CONNECTIONS_MAX);
    return false;
  }
  vsock.bytes_each = argument_number("bytes", 65536);
  connect_all(connections);
  while (vsock.closed < connections) work();
  report();
  return vsock.wrong == 0 && vsock.refused == 0 && vsock.received == connections * vsock.bytes_each;
}

bool vsock_send(void) {
  if (!start()) return false;
  vsock.bytes_each = argument_number("bytes", 1 << 20);
  connect_all(1);
  struct connection *connection = &vsock.connections[0];
  uint64_t stalls = 0;
  while (connection->open && (connection->sent < vsock.bytes_each || !connection->established)) {
    work();
    if (vsock.stalls > stalls) print("stalled_at=%u\n", (uint64_t)connection->sent);
    stalls = vsock.stalls;
  }
  if (connection->open) control(connection, SHUTDOWN, SHUTDOWN_BOTH);
  while (connection->open) work();
  report();
  return vsock.refused == 0 && vsock.sent == vsock.bytes_each;
}

bool vsock_ping(void) {
  if (!start()) return false;
  uint64_t ops = argument_number("ops", 1000);
  vsock.message = (uint32_t)argument_number("block", 64);
  if (vsock.message == 0 || vsock.message > PAYLOAD) {
    print("error=probe.block must be 1 to %u\n", (uint64_t)PAYLOAD);
    return false;
  }
  connect_all(1);
  struct connection *connection = &vsock.connections[0];
  while (connection->open && !connection->established) work();
  uint64_t interrupts = interrupt_count(vsock.device.window.irq), sleeps = vsock.device.sleeps;
  uint64_t begin = read_tsc(), done = 0;
  for (; done < ops && connection->open; done++) {
    vsock.bytes_each += vsock.message;
    advance(connection);
    while (connection->open && connection->received < vsock.bytes_each) work();
  }
  uint64_t elapsed_ns = ticks_to_ns(read_tsc() - begin);
  print("ops=%u\nelapsed_ns=%u\nround_trips_per_second=%u\n", done, elapsed_ns,
        elapsed_ns == 0 ? 0 : done * 1000000000ull / elapsed_ns);
  print("interrupts=%u\nsleeps=%u\nnotifications=%u\n", interrupt_count(vsock.device.window.irq) - interrupts,
        vsock.device.sleeps - sleeps, tx()->notifications);
  if (connection->open) control(connection, SHUTDOWN, SHUTDOWN_BOTH);
  while (connection->open) work();
  report();
  return done == ops && vsock.wrong == 0;
}

/* ---- rules broken ---- */

#define NOBODYS_PORT 9
#define IN_THE_HOLE 0xd8000000ull

static void offer_tx(uint32_t index, uint64_t address, uint32_t length, uint16_t flags) {
  tx()->descriptors[index] = (struct descriptor){
      .address = address, .length = length, .flags = flags, .next = TX_PACKETS /* none of the packets' */};
  virtqueue_add(tx(), (uint16_t)index);
}

/* Whatever was in them, all of them come back. */
static void await_returned(void) {
  virtqueue_notify(tx());
  while (vsock.free_count < TX_PACKETS) {
    collect_sent();
    pause_cpu();
  }
}

static struct header from_nobody(uint16_t operation) {
  return (struct header){.source_cid = vsock.cid,
                         .destination_cid = HOST_CID,
                         .source_port = NOBODYS_PORT,
                         .destination_port = NOBODYS_PORT,
                         .type = TYPE_STREAM,
                         .operation = operation};
}

static void forge_of(struct header header, uint32_t bytes) {
  uint32_t index = free_packet();
  tx_packets[index].header = header;
  offer_tx(index, (uintptr_t)&tx_packets[index], bytes, 0);
  await_returned();
}

static void forge(struct header header) { forge_of(header, sizeof header); }

static struct connection *connect_one(uint32_t number) {
  struct connection *connection =
      open_at(number, FIRST_PORT + number, (uint32_t)argument_number("port", 1024));
  control(connection, REQUEST, 0);
  while (connection->open && !connection->established) work();
  return connection;
}

static struct header of(const struct connection *connection, uint16_t operation, uint32_t length) {
  struct header header = from_nobody(operation);
  header.source_port = connection->guest_port;
  header.destination_port = connection->host_port;
  header.length = length;
  header.buffer_size = ROOM;
  return header;
}

static void await_reset(const struct connection *connection) {
  while (connection->open) work();
}

/* More than the host has said it has room for: its header in one buffer, data from anywhere in the next. */
static void exceed_credit(const struct connection *connection) {
  uint32_t index = free_packet(), length = connection->host_buffer + 1;
  tx_packets[index].header = of(connection, RW, length);
  offer_tx(index, (uintptr_t)&tx_packets[index], sizeof(struct header), DESCRIPTOR_NEXT);
  tx()->descriptors[TX_PACKETS] = (struct descriptor){.address = (uintptr_t)&vsock, .length = length};
  await_returned();
}

bool vsock_hostile(void) {
  if (!start()) return false;
  vsock.message = 1; /* A connection stays until it is reset. */
  struct header strange = from_nobody(RW);
  /* No packets at all. */
  forge_of(strange, sizeof strange - 1);
  forge_of(strange, 0);
  offer_tx(free_packet(), IN_THE_HOLE, sizeof strange, 0);
  offer_tx(free_packet(), boot_memory_end() - 1, sizeof strange, 0);
  offer_tx(free_packet(), (uintptr_t)&tx_packets[0], sizeof strange, DESCRIPTOR_WRITE);
  await_returned();
  /* Of others, of another type, and of no connection. An RST is never answered. */
  strange.source_cid++;
  forge(strange);
  strange = from_nobody(RW);
  strange.destination_cid++;
  forge(strange);
  strange = from_nobody(RW);
  strange.type++;
  forge(strange);
  forge(from_nobody(RW));
  forge(from_nobody(0xffff));
  forge(from_nobody(RST));
  while (vsock.resets < 3) work();
  uint64_t answered = vsock.resets;
  /* Each of these ends its connection. */
  struct connection *victim = connect_one(0);
  forge(of(victim, RW, 1));
  await_reset(victim);
  victim = connect_one(1);
  exceed_credit(victim);
  await_reset(victim);
  victim = connect_one(2);
  forge(of(victim, RESPONSE, 0));
  await_reset(victim);
  victim = connect_one(3);
  forge(of(victim, 0xffff, 0));
  await_reset(victim);
  /* And this one comes through. */
  vsock.message = 0;
  vsock.bytes_each = 10000;
  struct connection *good = connect_one(4);
  await_reset(good);
  report();
  return answered == 3 && vsock.refused == 0 && vsock.received == 10000 && vsock.wrong == 0;
}

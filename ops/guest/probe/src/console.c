#include "console.h"

#include "virtio.h"

#define F_SIZE 1ull
#define F_MULTIPORT 2ull
#define CONFIG_SIZE 0
#define CONFIG_PORTS 4

enum { DEVICE_READY, DEVICE_ADD, DEVICE_REMOVE, PORT_READY, CONSOLE_PORT, RESIZE, PORT_OPEN, PORT_NAME };
enum { CONTROL_RX = 2, CONTROL_TX = 3 };

/* 5.3.6.2 struct virtio_console_control, and what may follow it. */
struct message {
  uint32_t id;
  uint16_t event, value;
  uint8_t more[56];
} __attribute__((packed));
#define HEADER_BYTES 8

/* Those of port 0, of control, and of another port: what the probe has room for. */
#define PORTS 2
#define QUEUES (2 * PORTS + 2)

#define BUFFERS 16
#define BUFFER_BYTES 4096

static struct {
  struct virtio_device device;
  struct message told[BUFFERS], said;
  uint8_t in[PORTS][BUFFERS][BUFFER_BYTES], out[PORTS][BUFFER_BYTES];
  bool host_open[PORTS];
  uint64_t received[PORTS], sent[PORTS], resizes;
} console;

static struct virtqueue *queue(unsigned index) { return &console.device.queues[index]; }
static unsigned rx(unsigned port) { return port == 0 ? 0 : 2 * port + 2; }
static unsigned tx(unsigned port) { return rx(port) + 1; }

static void offer(struct virtqueue *to, uint16_t head, void *address, uint32_t length, uint16_t flags) {
  to->descriptors[head] = (struct descriptor){.address = (uintptr_t)address, .length = length, .flags = flags};
  virtqueue_add(to, head);
  virtqueue_notify(to);
}

static void await_used(struct virtqueue *of) {
  while (virtqueue_take_used(of) < 0) pause_cpu();
}

static void say(uint32_t id, uint16_t event, uint16_t value) {
  console.said = (struct message){.id = id, .event = event, .value = value};
  offer(queue(CONTROL_TX), 0, &console.said, HEADER_BYTES, 0);
  await_used(queue(CONTROL_TX));
}

static void offer_told(uint16_t index) {
  offer(queue(CONTROL_RX), index, &console.told[index], sizeof console.told[index], DESCRIPTOR_WRITE);
}

static void print_name(const struct message *message, uint32_t length) {
  char name[sizeof message->more + 1] = {0};
  for (uint32_t i = 0; i < length && i < sizeof message->more; i++) name[i] = (char)message->more[i];
  print("port.%u.name=%s\n", (uint64_t)message->id, (const char *)name);
}

static void heard(const struct message *message, uint32_t length) {
  uint64_t id = message->id;
  if (id >= PORTS) {
    print("error=told of port %u\n", id);
    return;
  }
  switch (message->event) {
  case DEVICE_ADD: say(message->id, PORT_READY, 1); break;
  case CONSOLE_PORT: print("port.%u.console=%u\n", id, (uint64_t)message->value); break;
  case PORT_NAME:
    print_name(message, length - HEADER_BYTES);
    say(message->id, PORT_OPEN, 1);
    break;
  case RESIZE:
    print("port.%u.size=%ux%u\n", id, (uint64_t)(message->more[0] | message->more[1] << 8),
          (uint64_t)(message->more[2] | message->more[3] << 8));
    console.resizes++;
    break;
  case PORT_OPEN:
    console.host_open[id] = message->value != 0;
    print("port.%u.client=%u\n", id, (uint64_t)message->value);
    break;
  default: print("error=told of event %u\n", (uint64_t)message->event);
  }
}

/* Hears what there is to hear; true if there was something. */
static bool hear(void) {
  uint32_t length;
  bool some = false;
  for (int head; (head = virtqueue_take_used_length(queue(CONTROL_RX), &length)) >= 0; some = true) {
    heard(&console.told[head], length);
    offer_told((uint16_t)head);
  }
  return some;
}

static bool start(void) {
  struct device_window window;
  const char *problem = virtio_find(VIRTIO_ID_CONSOLE, 0, &window);
  if (problem == NULL) {
    problem = virtio_start(&console.device, &window, F_SIZE | F_MULTIPORT | VIRTIO_F_EVENT_IDX, QUEUES);
  }
  if (problem != NULL) {
    print("error=%s\n", problem);
    return false;
  }
  interrupt_unmask_edge(window.irq);
  uint32_t size = virtio_config32(&console.device, CONFIG_SIZE);
  print("size=%ux%u\nports=%u\n", (uint64_t)(size & 0xffff), (uint64_t)(size >> 16),
        (uint64_t)virtio_config32(&console.device, CONFIG_PORTS));
  for (uint16_t i = 0; i < BUFFERS; i++) offer_told(i);
  say(UINT32_MAX, DEVICE_READY, 1);
  return true;
}

static void open_ports(void) {
  for (unsigned port = 0; port < PORTS; port++) {
    for (uint16_t i = 0; i < BUFFERS; i++) {
      offer(queue(rx(port)), i, console.in[port][i], BUFFER_BYTES, DESCRIPTOR_WRITE);
    }
  }
}

static void write_out(unsigned port, const uint8_t *bytes, uint32_t length) {
  memcpy(console.out[port], bytes, length);
  offer(queue(tx(port)), 0, console.out[port], length, 0);
  await_used(queue(tx(port)));
  console.sent[port] += length;
}

static bool echo(unsigned port) {
  uint32_t length;
  bool some = false;
  for (int head; (head = virtqueue_take_used_length(queue(rx(port)), &length)) >= 0; some = true) {
    console.received[port] += length;
    write_out(port, console.in[port][head], length);
    offer(queue(rx(port)), (uint16_t)head, console.in[port][head], BUFFER_BYTES, DESCRIPTOR_WRITE);
  }
  return some;
}

static void report(void) {
  for (unsigned port = 0; port < PORTS; port++) {
    print("port.%u.received=%u\nport.%u.sent=%u\n", (uint64_t)port, console.received[port], (uint64_t)port,
          console.sent[port]);
  }
}

/* Until `bytes` have come by each port and the sizes have changed `ops` times. */
bool console_echo(void) {
  if (!start()) return false;
  open_ports();
  uint64_t bytes = argument_number("bytes", 65536), resizes = argument_number("ops", 0);
  print("listening=1\n");
  while (!power_button_pressed() &&
         (console.received[0] < bytes || console.received[1] < bytes || console.resizes < resizes)) {
    bool some = hear();
    for (unsigned port = 0; port < PORTS; port++) some |= echo(port);
    if (!some) virtio_sleep_until_used(&console.device, QUEUES);
  }
  report();
  return console.received[0] == bytes && console.received[1] == bytes;
}

/* Waits for a client where the port is a pipe, as a Linux process does. */
bool console_send(void) {
  if (!start()) return false;
  unsigned port = (unsigned)argument_number("port", 1);
  uint64_t bytes = argument_number("bytes", 1 << 20);
  static uint8_t block[BUFFER_BYTES];
  print("listening=1\n");
  while (port != 0 && !console.host_open[port]) {
    if (!hear()) virtio_sleep_until_used(&console.device, QUEUES);
  }
  while (console.sent[port] < bytes) {
    uint64_t left = bytes - console.sent[port];
    uint32_t length = (uint32_t)(left < BUFFER_BYTES ? left : BUFFER_BYTES);
    for (uint32_t i = 0; i < length; i++) block[i] = (uint8_t)(((console.sent[port] + i) * 31) >> 3);
    write_out(port, block, length);
  }
  report();
  return true;
}

/* ---- rules broken ---- */

static bool hears_of_both_ports(void) {
  uint64_t deadline = clock_ns() + 5000000000ull;
  unsigned told = 0;
  while (told < PORTS && clock_ns() < deadline) {
    uint32_t length;
    int head = virtqueue_take_used_length(queue(CONTROL_RX), &length);
    if (head >= 0) {
      told += console.told[head].event == DEVICE_ADD && length == HEADER_BYTES;
      offer_told((uint16_t)head);
    }
  }
  return told == PORTS;
}

static void say_raw(const void *bytes, uint32_t length, uint16_t flags) {
  memcpy(&console.said, bytes, sizeof console.said);
  offer(queue(CONTROL_TX), 0, &console.said, length, flags);
  await_used(queue(CONTROL_TX));
}

bool console_hostile(void) {
  if (!start()) return false;
  bool told = hears_of_both_ports();
  static const struct message nothing;
  /* Too early, twice, of no port, of no event, and what only a device says. */
  say(1, PORT_OPEN, 1);
  say(UINT32_MAX, DEVICE_READY, 1);
  say(PORTS, PORT_READY, 1);
  say(UINT32_MAX, PORT_OPEN, 1);
  say(0x10000, PORT_OPEN, 1);
  say(0, DEVICE_ADD, 1);
  say(0, DEVICE_REMOVE, 1);
  say(0, 0xffff, 1);
  /* Too short, of no bytes, and in the wrong direction. */
  say_raw(&nothing, 7, 0);
  say_raw(&nothing, 0, 0);
  say_raw(&nothing, sizeof nothing, DESCRIPTOR_WRITE);
  offer(queue(tx(0)), 0, console.out[0], BUFFER_BYTES, DESCRIPTOR_WRITE);
  await_used(queue(tx(0)));
  /* Where no memory is. */
  offer(queue(tx(1)), 0, (void *)0xd8000000u, BUFFER_BYTES, 0);
  await_used(queue(tx(1)));
  /* All of it has been returned, and the ports work. */
  say(0, PORT_READY, 1);
  say(0, PORT_OPEN, 1);
  write_out(0, (const uint8_t *)"still here", 10);
  print("told=%u\n", (uint64_t)told);
  return told;
}

/* Arguments of the form probe.NAME=VALUE on the command line. */
#ifndef ARGUMENTS_H
#define ARGUMENTS_H

#include <stdbool.h>
#include <stdint.h>

/* Does the argument have this value? `fallback` stands in when it is absent. */
bool argument_is(const char *name, const char *value, const char *fallback);

/* Its value in decimal, or in hexadecimal after 0x. */
uint64_t argument_number(const char *name, uint64_t fallback);

/* One virtio_mmio.device=SIZE@BASE:IRQ[:ID] (linux: drivers/virtio/virtio_mmio.c). */
struct device_window {
  uint64_t base, size;
  uint32_t irq;
};

/* The nth of them, from 0, in command line order. False: there are fewer. */
bool argument_device_window(unsigned n, struct device_window *window);

/* vireo.net=MAC,ADDRESS,GATEWAY,MTU, as a worker tells it a guest. False: there is none. */
bool argument_network(uint32_t *address, uint32_t *gateway);

#endif

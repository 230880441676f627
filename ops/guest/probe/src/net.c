#include "net.h"

/* 5.1.6.3.1: what a driver provides a frame in large segments with, if buffers are not merged. */
#define LARGEST_RECEIVE_BYTES 65562u
#define RECEIVE_POOL_BYTES (2u << 20)
#define SEND_POOL_BYTES (2u << 20)
#define MERGED_BUFFER_BYTES 2048u

static _Alignas(4096) uint8_t receive_pool[RECEIVE_POOL_BYTES];

static _Alignas(4096) uint8_t send_pool[SEND_POOL_BYTES];

enum { CONFIG_MAC = 0, CONFIG_STATUS = 6, STATUS_LINK_UP = 1 };
enum { RECEIVE_QUEUE = 0, TRANSMIT_QUEUE = 1, QUEUES = 2 };

/* A multiple of 64: no two slots share a line of the cache. */
static uint32_t slot_bytes(uint32_t frame_bytes) {
  return ((uint32_t)sizeof(struct net_header) + frame_bytes + 63) & ~63u;
}

uint32_t net_slots(uint32_t frame_bytes) {
  uint32_t slots = SEND_POOL_BYTES / slot_bytes(frame_bytes);
  return slots < SEND_SLOTS_MAX ? slots : SEND_SLOTS_MAX;
}

static struct net_header *send_buffer(const struct net *net, unsigned slot) {
  return (struct net_header *)(send_pool + (size_t)slot * net->slot_bytes);
}

static uint8_t *receive_buffer(const struct net *net, uint32_t index) {
  return receive_pool + (size_t)index * net->receive_buffer_bytes;
}

static void give_buffer(struct net *net, uint16_t index) {
  net->receive->descriptors[index] = (struct descriptor){.address = (uintptr_t)receive_buffer(net, index),
                                                         .length = net->receive_buffer_bytes,
                                                         .flags = DESCRIPTOR_WRITE};
  virtqueue_add(net->receive, index);
}

const char *net_open(struct net *net, uint64_t wanted, bool polled, uint32_t frame_bytes) {
  struct device_window window;
  const char *problem = virtio_find(VIRTIO_ID_NET, 0, &window);
  if (problem != NULL) return problem;
  problem = virtio_start(&net->device, &window, wanted | VIRTIO_NET_F_MAC | VIRTIO_NET_F_STATUS, QUEUES);
  if (problem != NULL) return problem;
  net->receive = &net->device.queues[RECEIVE_QUEUE];
  net->transmit = &net->device.queues[TRANSMIT_QUEUE];
  net->polled = polled;
  net->merging = (net->device.features & VIRTIO_NET_F_MRG_RXBUF) != 0;
  for (uint32_t i = 0; i < sizeof net->mac; i++) net->mac[i] = virtio_config8(&net->device, CONFIG_MAC + i);
  net->receive_buffer_bytes = net->merging ? MERGED_BUFFER_BYTES : LARGEST_RECEIVE_BYTES;
  net->receive_buffers = RECEIVE_POOL_BYTES / net->receive_buffer_bytes;
  if (net->receive_buffers > net->receive->size) net->receive_buffers = net->receive->size;
  for (uint16_t i = 0; i < net->receive_buffers; i++) give_buffer(net, i);
  net->slot_bytes = slot_bytes(frame_bytes);
  net->free_slot_count = net_slots(frame_bytes);
  if (net->free_slot_count > net->transmit->size) net->free_slot_count = net->transmit->size;
  for (unsigned i = 0; i < net->free_slot_count; i++) net->free_slots[i] = i;
  virtqueue_notify(net->receive);
  if (!polled) interrupt_unmask_edge(window.irq);
  return NULL;
}

bool net_link_up(const struct net *net) {
  return (virtio_config8(&net->device, CONFIG_STATUS) & STATUS_LINK_UP) != 0;
}

struct net_header *net_slot(struct net *net, unsigned *slot) {
  for (int head; (head = virtqueue_take_used(net->transmit)) >= 0;) {
    net->free_slots[net->free_slot_count++] = (unsigned)head;
  }
  if (net->free_slot_count == 0) return NULL;
  *slot = net->free_slots[--net->free_slot_count];
  return send_buffer(net, *slot);
}

void net_send(struct net *net, unsigned slot, uint32_t frame_bytes) {
  net->transmit->descriptors[slot] = (struct descriptor){
      .address = (uintptr_t)send_buffer(net, slot), .length = (uint32_t)sizeof(struct net_header) + frame_bytes};
  virtqueue_add(net->transmit, (uint16_t)slot);
}

void net_flush(struct net *net) { virtqueue_notify(net->transmit); }

bool net_receive(struct net *net, struct received *frame) {
  uint32_t written;
  int head = virtqueue_take_used_length(net->receive, &written);
  if (head < 0) return false;
  frame->header = (const struct net_header *)receive_buffer(net, (uint32_t)head);
  frame->length = 0;
  frame->parts = 0;
  /* 5.1.6.4: all buffers of a frame are there once the first is. */
  unsigned buffers = net->merging ? frame->header->num_buffers : 1;
  for (uint32_t skip = sizeof(struct net_header);; skip = 0) {
    unsigned part = frame->parts++;
    frame->heads[part] = (uint16_t)head;
    frame->bytes[part] = receive_buffer(net, (uint32_t)head) + skip;
    frame->lengths[part] = written - skip;
    frame->length += written - skip;
    if (frame->parts == buffers || frame->parts == PARTS_MAX) return true;
    head = virtqueue_take_used_length(net->receive, &written);
    if (head < 0) return true; /* The length will be wrong. */
  }
}

void net_release(struct net *net, const struct received *frame) {
  for (unsigned i = 0; i < frame->parts; i++) give_buffer(net, frame->heads[i]);
  virtqueue_notify(net->receive);
}

void net_wait(struct net *net, uint64_t deadline_ns) {
  if (net->polled) {
    pause_cpu();
  } else {
    virtio_sleep_until(&net->device, RECEIVE_QUEUE + 1, deadline_ns);
  }
}

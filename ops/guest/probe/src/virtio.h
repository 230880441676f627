/* A modern virtio driver: virtio-mmio version 2 and split virtqueues. VIRTIO 1.2 sections 4.2, 2.7. */
#ifndef VIRTIO_H
#define VIRTIO_H

#include "arguments.h"
#include "platform.h"

#define VIRTIO_ID_NET 1
#define VIRTIO_ID_BLOCK 2
#define VIRTIO_ID_CONSOLE 3
#define VIRTIO_ID_ENTROPY 4
#define VIRTIO_ID_BALLOON 5
#define VIRTIO_ID_VSOCK 19
#define VIRTIO_ID_MEMORY 24
#define VIRTIO_BLK_F_RO (1ull << 5)
#define VIRTIO_BLK_F_FLUSH (1ull << 9)
#define VIRTIO_BLK_F_MQ (1ull << 12)
#define VIRTIO_BLK_F_DISCARD (1ull << 13)
#define VIRTIO_BLK_F_WRITE_ZEROES (1ull << 14)
#define VIRTIO_F_INDIRECT_DESC (1ull << 28)
#define VIRTIO_F_EVENT_IDX (1ull << 29)
#define VIRTIO_F_VERSION_1 (1ull << 32)

/* What a window holds: 0 for an empty slot, or for one that is not a version 2 transport. */
uint32_t virtio_device_id(const struct device_window *window);

#define QUEUE_SIZE_MAX 256
#define DEVICE_QUEUES_MAX 6

struct descriptor {
  uint64_t address;
  uint32_t length;
  uint16_t flags, next;
};
#define DESCRIPTOR_NEXT 1
#define DESCRIPTOR_WRITE 2
#define DESCRIPTOR_INDIRECT 4

/* Statistics are of this driver: what it saw and did. */
struct virtqueue {
  const struct device_window *window;
  uint16_t index, size, available, used_seen;
  bool event_idx;
  uint64_t notifications, notifications_suppressed;
  struct descriptor *descriptors; /* `size` of them, the driver's to fill */
  volatile struct available_ring *available_ring;
  volatile struct used_ring *used_ring;
};

struct virtio_device {
  struct device_window window;
  uint64_t features; /* negotiated */
  struct virtqueue queues[DEVICE_QUEUES_MAX];
  uint64_t interrupts_acknowledged, sleeps;
  bool heeds_status; /* as Linux: an interrupt without the used-buffer bit is somebody else's, no look at the rings */
  bool lost;         /* such an interrupt was the last one for a buffer that had been used */
  uint64_t dismissed;
};

/*
 * Reset to DRIVER_OK with the first `queues` queues set up. `wanted` features are taken if offered; VERSION_1 always.
 * NULL, or why not. There is memory for a dozen queues of all devices together.
 */
const char *virtio_start(struct virtio_device *device, const struct device_window *window, uint64_t wanted,
                         unsigned queues);

/* The nth window of the command line that holds a device of this id; NULL, or why not. */
const char *virtio_find(uint32_t device_id, unsigned n, struct device_window *window);

uint8_t virtio_config8(const struct virtio_device *device, uint32_t offset);
uint32_t virtio_config32(const struct virtio_device *device, uint32_t offset);
void virtio_set_config32(const struct virtio_device *device, uint32_t offset, uint32_t value);

/* 2.7.13: make the chain that starts at `head` available. The device may not look before virtqueue_notify. */
void virtqueue_add(struct virtqueue *queue, uint16_t head);
/* QueueNotify, unless nothing is new or the device said it needs none. */
void virtqueue_notify(struct virtqueue *queue);
/* 2.7.14: the head of a used chain, or -1. `written` gets how many bytes the device says it wrote. */
int virtqueue_take_used_length(struct virtqueue *queue, uint32_t *written);
int virtqueue_take_used(struct virtqueue *queue);
/* Ask for an interrupt on the next used buffer, or for none. True: one is there already. */
bool virtqueue_enable_interrupt(struct virtqueue *queue);
void virtqueue_disable_interrupt(struct virtqueue *queue);
/* InterruptStatus. */
#define INTERRUPT_USED_BUFFER 1u
uint32_t virtio_interrupt_status(const struct virtio_device *device);
/* ConfigGeneration. */
uint32_t virtio_config_generation(const struct virtio_device *device);
/* InterruptStatus, acknowledged. */
uint32_t virtio_acknowledge_interrupt(struct virtio_device *device);
/* Sleeps in HLT until one of the first `queues` queues has a used buffer; to be called when none had. */
void virtio_sleep_until_used(struct virtio_device *device, unsigned queues);
/* As well, but returns at the deadline too, and sometimes before it. */
void virtio_sleep_until(struct virtio_device *device, unsigned queues, uint64_t deadline_ns);

#endif

#include "disk.h"

struct request_header {
  uint32_t type, reserved;
  uint64_t sector;
};

static struct request_header headers[DEPTH_MAX];
static volatile uint8_t statuses[DEPTH_MAX];
static _Alignas(4096) uint8_t buffers[DEPTH_MAX][BLOCK_MAX];

/* Slot s owns descriptors 3s (header), 3s+1 (data) and 3s+2 (status). */
#define DESCRIPTORS_PER_SLOT 3

const char *disk_open(struct disk *disk, unsigned n, bool polled, bool event_idx) {
  struct device_window window;
  const char *problem = virtio_find(VIRTIO_ID_BLOCK, n, &window);
  if (problem != NULL) return problem;
  uint64_t wanted = VIRTIO_BLK_F_RO | VIRTIO_BLK_F_FLUSH | (event_idx ? VIRTIO_F_EVENT_IDX : 0);
  problem = virtio_start(&disk->device, &window, wanted, 1);
  if (problem != NULL) return problem;
  disk->capacity_sectors = (uint64_t)virtio_config32(&disk->device, 4) << 32 | virtio_config32(&disk->device, 0);
  disk->read_only = (disk->device.features & VIRTIO_BLK_F_RO) != 0;
  disk->polled = polled;
  disk->device.heeds_status = argument_number("heed_status", 0) != 0;
  if (!polled) interrupt_unmask_edge(window.irq);
  return NULL;
}

static struct virtqueue *queue_of(struct disk *disk) { return &disk->device.queues[0]; }

uint8_t *disk_buffer(unsigned slot) { return buffers[slot]; }

static void describe(struct disk *disk, unsigned index, const volatile void *address, uint32_t length, uint16_t flags) {
  queue_of(disk)->descriptors[index] = (struct descriptor){
      .address = (uintptr_t)address, .length = length, .flags = flags, .next = (uint16_t)(index + 1)};
}

void disk_submit(struct disk *disk, unsigned slot, uint32_t type, uint64_t sector, uint32_t length) {
  unsigned head = slot * DESCRIPTORS_PER_SLOT;
  headers[slot] = (struct request_header){.type = type, .sector = sector};
  statuses[slot] = 0xff;
  describe(disk, head, &headers[slot], sizeof headers[slot], DESCRIPTOR_NEXT);
  describe(disk, head + 1, buffers[slot], length, type == DISK_OUT ? DESCRIPTOR_NEXT : DESCRIPTOR_NEXT | DESCRIPTOR_WRITE);
  describe(disk, head + 2, &statuses[slot], 1, DESCRIPTOR_WRITE);
  if (length == 0) queue_of(disk)->descriptors[head].next = (uint16_t)(head + 2);
  virtqueue_add(queue_of(disk), (uint16_t)head);
}

unsigned disk_complete(struct disk *disk, uint8_t *status) {
  int head = virtqueue_take_used(queue_of(disk));
  if (head < 0) virtqueue_notify(queue_of(disk));
  while ((head = head < 0 ? virtqueue_take_used(queue_of(disk)) : head) < 0) {
    if (disk->polled) {
      pause_cpu();
    } else {
      virtio_sleep_until_used(&disk->device, 1);
    }
  }
  unsigned slot = (unsigned)head / DESCRIPTORS_PER_SLOT;
  *status = statuses[slot];
  return slot;
}

uint8_t disk_do(struct disk *disk, uint32_t type, uint64_t sector, uint32_t length) {
  uint8_t status;
  disk_submit(disk, 0, type, sector, length);
  disk_complete(disk, &status);
  return status;
}

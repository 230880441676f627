#include "disk.h"

struct request_header {
  uint32_t type, reserved;
  uint64_t sector;
};

static struct request_header headers[DEPTH_MAX];
static volatile uint8_t statuses[DEPTH_MAX];
static _Alignas(4096) uint8_t buffers[64 * BLOCK_MAX];
static uint32_t buffer_bytes = BLOCK_MAX;

/* Header, data and status of slot s are descriptors 3s to 3s+2, or, as Linux has it, a table that descriptor s names. */
#define DESCRIPTORS_PER_SLOT 3
static _Alignas(16) struct descriptor tables[DEPTH_MAX][DESCRIPTORS_PER_SLOT];

const char *disk_open(struct disk *disk, unsigned n, unsigned queues, bool polled, uint64_t ring_features) {
  if (queues == 0 || queues > DEVICE_QUEUES_MAX) return "the probe drives 1 to 4 queues";
  struct device_window window;
  const char *problem = virtio_find(VIRTIO_ID_BLOCK, n, &window);
  if (problem != NULL) return problem;
  uint64_t wanted = VIRTIO_BLK_F_RO | VIRTIO_BLK_F_FLUSH | VIRTIO_BLK_F_DISCARD | VIRTIO_BLK_F_WRITE_ZEROES |
                    ring_features | (queues > 1 ? VIRTIO_BLK_F_MQ : 0);
  problem = virtio_start(&disk->device, &window, wanted, queues);
  if (problem != NULL) return problem;
  disk->capacity_sectors = (uint64_t)virtio_config32(&disk->device, 4) << 32 | virtio_config32(&disk->device, 0);
  disk->read_only = (disk->device.features & VIRTIO_BLK_F_RO) != 0;
  disk->queues = queues;
  disk->polled = polled;
  disk->indirect = (disk->device.features & VIRTIO_F_INDIRECT_DESC) != 0;
  disk->device.heeds_status = argument_number("heed_status", 0) != 0;
  if (!polled) interrupt_unmask_edge(window.irq);
  return NULL;
}

static struct virtqueue *queue_of(struct disk *disk, unsigned slot) { return &disk->device.queues[slot % disk->queues]; }

static uint32_t least(uint32_t a, uint32_t b) { return a < b ? a : b; }

uint32_t disk_slots_of(const struct disk *disk, uint32_t bytes) {
  buffer_bytes = bytes;
  uint32_t chains = disk->device.queues[0].size / (disk->indirect ? 1u : DESCRIPTORS_PER_SLOT);
  return least(DEPTH_MAX, least(chains, (uint32_t)(sizeof buffers / bytes)));
}

uint8_t *disk_buffer(unsigned slot) { return buffers + (size_t)slot * buffer_bytes; }

void disk_submit(struct disk *disk, unsigned slot, uint32_t type, uint64_t sector, uint32_t length) {
  struct virtqueue *queue = queue_of(disk, slot);
  struct descriptor *ring = queue->descriptors;
  unsigned first = disk->indirect ? 0 : slot * DESCRIPTORS_PER_SLOT;
  struct descriptor *chain = disk->indirect ? tables[slot] : ring + first;
  bool is_read = type == DISK_IN || type == DISK_GET_ID;
  headers[slot] = (struct request_header){.type = type, .sector = sector};
  statuses[slot] = 0xff;
  chain[0] = (struct descriptor){.address = (uintptr_t)&headers[slot],
                                 .length = sizeof headers[slot],
                                 .flags = DESCRIPTOR_NEXT,
                                 .next = (uint16_t)(length == 0 ? first + 2 : first + 1)};
  chain[1] = (struct descriptor){.address = (uintptr_t)disk_buffer(slot),
                                 .length = length,
                                 .flags = is_read ? DESCRIPTOR_NEXT | DESCRIPTOR_WRITE : DESCRIPTOR_NEXT,
                                 .next = (uint16_t)(first + 2)};
  chain[2] = (struct descriptor){.address = (uintptr_t)&statuses[slot], .length = 1, .flags = DESCRIPTOR_WRITE};
  if (disk->indirect) {
    ring[slot] = (struct descriptor){
        .address = (uintptr_t)chain, .length = sizeof tables[slot], .flags = DESCRIPTOR_INDIRECT};
  }
  virtqueue_add(queue, (uint16_t)(disk->indirect ? slot : first));
}

/* The head of a used chain of any queue, or -1. */
static int take_used(struct disk *disk) {
  for (unsigned i = 0; i < disk->queues; i++) {
    int head = virtqueue_take_used(&disk->device.queues[i]);
    if (head >= 0) return head;
  }
  return -1;
}

unsigned disk_complete(struct disk *disk, uint8_t *status) {
  int head = take_used(disk);
  if (head < 0) {
    for (unsigned i = 0; i < disk->queues; i++) virtqueue_notify(&disk->device.queues[i]);
  }
  while ((head = head < 0 ? take_used(disk) : head) < 0) {
    if (disk->polled) {
      pause_cpu();
    } else {
      virtio_sleep_until_used(&disk->device, disk->queues);
    }
  }
  unsigned slot = (unsigned)head / (disk->indirect ? 1 : DESCRIPTORS_PER_SLOT);
  *status = statuses[slot];
  return slot;
}

uint8_t disk_do(struct disk *disk, uint32_t type, uint64_t sector, uint32_t length) {
  uint8_t status;
  disk_submit(disk, 0, type, sector, length);
  disk_complete(disk, &status);
  return status;
}

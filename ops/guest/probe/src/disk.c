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

const char *disk_open(struct disk *disk, unsigned n, bool polled, uint64_t ring_features) {
  struct device_window window;
  const char *problem = virtio_find(VIRTIO_ID_BLOCK, n, &window);
  if (problem != NULL) return problem;
  uint64_t wanted = VIRTIO_BLK_F_RO | VIRTIO_BLK_F_FLUSH | ring_features;
  problem = virtio_start(&disk->device, &window, wanted, 1);
  if (problem != NULL) return problem;
  disk->capacity_sectors = (uint64_t)virtio_config32(&disk->device, 4) << 32 | virtio_config32(&disk->device, 0);
  disk->read_only = (disk->device.features & VIRTIO_BLK_F_RO) != 0;
  disk->polled = polled;
  disk->indirect = (disk->device.features & VIRTIO_F_INDIRECT_DESC) != 0;
  disk->device.heeds_status = argument_number("heed_status", 0) != 0;
  if (!polled) interrupt_unmask_edge(window.irq);
  return NULL;
}

static struct virtqueue *queue_of(struct disk *disk) { return &disk->device.queues[0]; }

static uint32_t least(uint32_t a, uint32_t b) { return a < b ? a : b; }

uint32_t disk_slots_of(const struct disk *disk, uint32_t bytes) {
  buffer_bytes = bytes;
  uint32_t chains = disk->device.queues[0].size / (disk->indirect ? 1u : DESCRIPTORS_PER_SLOT);
  return least(DEPTH_MAX, least(chains, (uint32_t)(sizeof buffers / bytes)));
}

uint8_t *disk_buffer(unsigned slot) { return buffers + (size_t)slot * buffer_bytes; }

void disk_submit(struct disk *disk, unsigned slot, uint32_t type, uint64_t sector, uint32_t length) {
  struct descriptor *ring = queue_of(disk)->descriptors;
  unsigned first = disk->indirect ? 0 : slot * DESCRIPTORS_PER_SLOT;
  struct descriptor *chain = disk->indirect ? tables[slot] : ring + first;
  headers[slot] = (struct request_header){.type = type, .sector = sector};
  statuses[slot] = 0xff;
  chain[0] = (struct descriptor){.address = (uintptr_t)&headers[slot],
                                 .length = sizeof headers[slot],
                                 .flags = DESCRIPTOR_NEXT,
                                 .next = (uint16_t)(length == 0 ? first + 2 : first + 1)};
  chain[1] = (struct descriptor){.address = (uintptr_t)disk_buffer(slot),
                                 .length = length,
                                 .flags = type == DISK_OUT ? DESCRIPTOR_NEXT : DESCRIPTOR_NEXT | DESCRIPTOR_WRITE,
                                 .next = (uint16_t)(first + 2)};
  chain[2] = (struct descriptor){.address = (uintptr_t)&statuses[slot], .length = 1, .flags = DESCRIPTOR_WRITE};
  if (disk->indirect) {
    ring[slot] = (struct descriptor){
        .address = (uintptr_t)chain, .length = sizeof tables[slot], .flags = DESCRIPTOR_INDIRECT};
  }
  virtqueue_add(queue_of(disk), (uint16_t)(disk->indirect ? slot : first));
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

#include "disk.h"

#include "machine.h"

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
  for (unsigned i = 0;; i++) {
    if (!argument_device_window(i, &window)) return "no such block device";
    if (virtio_device_id(&window) == VIRTIO_ID_BLOCK && n-- == 0) break;
  }
  if (window.irq >= TIMER_INTERRUPT) return "no such GSI";
  uint64_t wanted = VIRTIO_BLK_F_RO | VIRTIO_BLK_F_FLUSH | (event_idx ? VIRTIO_F_EVENT_IDX : 0);
  const char *problem = virtio_start(&disk->device, &window, wanted);
  if (problem != NULL) return problem;
  disk->capacity_sectors = (uint64_t)virtio_config32(&disk->device, 4) << 32 | virtio_config32(&disk->device, 0);
  disk->read_only = (disk->device.features & VIRTIO_BLK_F_RO) != 0;
  disk->polled = polled;
  disk->interrupts_acknowledged = interrupt_count(window.irq);
  virtqueue_disable_interrupt(&disk->device);
  if (!polled) interrupt_unmask_edge(window.irq);
  return NULL;
}

uint8_t *disk_buffer(unsigned slot) { return buffers[slot]; }

static void describe(unsigned index, const volatile void *address, uint32_t length, uint16_t flags) {
  virtqueue_descriptors[index] = (struct descriptor){
      .address = (uintptr_t)address, .length = length, .flags = flags, .next = (uint16_t)(index + 1)};
}

void disk_submit(struct disk *disk, unsigned slot, uint32_t type, uint64_t sector, uint32_t length) {
  unsigned head = slot * DESCRIPTORS_PER_SLOT;
  headers[slot] = (struct request_header){.type = type, .sector = sector};
  statuses[slot] = 0xff;
  describe(head, &headers[slot], sizeof headers[slot], DESCRIPTOR_NEXT);
  describe(head + 1, buffers[slot], length, type == DISK_OUT ? DESCRIPTOR_NEXT : DESCRIPTOR_NEXT | DESCRIPTOR_WRITE);
  describe(head + 2, &statuses[slot], 1, DESCRIPTOR_WRITE);
  if (length == 0) virtqueue_descriptors[head].next = (uint16_t)(head + 2);
  virtqueue_add(&disk->device, (uint16_t)head);
}

/*
 * Every interrupt that came is acknowledged before the ring is looked at for the last time: a transport that
 * holds its line high until then would otherwise raise no further edge.
 */
static void sleep_until_used(struct disk *disk) {
  uint32_t irq = disk->device.window.irq;
  uint64_t seen = interrupt_count(irq);
  if (seen != disk->interrupts_acknowledged) {
    virtio_acknowledge_interrupt(&disk->device);
    disk->interrupts_acknowledged = seen;
  }
  if (!virtqueue_enable_interrupt(&disk->device)) {
    disk->sleeps++;
    interrupt_wait(irq, seen);
  }
  virtqueue_disable_interrupt(&disk->device);
}

unsigned disk_complete(struct disk *disk, uint8_t *status) {
  int head = virtqueue_take_used(&disk->device);
  if (head < 0) virtqueue_notify(&disk->device);
  while ((head = head < 0 ? virtqueue_take_used(&disk->device) : head) < 0) {
    if (disk->polled) {
      pause_cpu();
    } else {
      sleep_until_used(disk);
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

/* A virtio-blk disk, driven asynchronously: up to `depth` requests in flight, one slot each. VIRTIO 1.2 section 5.2. */
#ifndef DISK_H
#define DISK_H

#include "virtio.h"

#define SECTOR_SIZE 512
#define DEPTH_MAX 128
#define BLOCK_MAX (64u << 10)

enum { DISK_IN = 0, DISK_OUT = 1, DISK_FLUSH = 4, DISK_GET_ID = 8, DISK_DISCARD = 11, DISK_WRITE_ZEROES = 13 };
enum { DISK_OK = 0, DISK_IOERR = 1, DISK_UNSUPPORTED = 2 };

struct disk {
  struct virtio_device device;
  uint64_t capacity_sectors;
  bool read_only, polled, indirect;
  unsigned queues; /* slot s is the business of queue s modulo them */
};

/* 5.2.6: what the data of discards and zeroes is made of. */
struct disk_range {
  uint64_t sector;
  uint32_t sectors, flags;
};
#define DISK_RANGE_UNMAP 1u

/* Finds the nth block device of the command line's windows and starts it with so many queues. NULL, or why not. */
const char *disk_open(struct disk *disk, unsigned n, unsigned queues, bool polled, uint64_t ring_features);

/* Gives each slot a data buffer of so many bytes, up to BLOCK_MAX, instead of BLOCK_MAX. Returns how many slots that makes. */
uint32_t disk_slots_of(const struct disk *disk, uint32_t bytes);

/* The data buffer of a slot. */
uint8_t *disk_buffer(unsigned slot);

/* Queues a request on a free slot; the device hears of it at the next disk_complete. */
void disk_submit(struct disk *disk, unsigned slot, uint32_t type, uint64_t sector, uint32_t length);

/* Waits for a request to end and returns its slot. `status` gets DISK_OK or the device's complaint. Sets device.lost. */
unsigned disk_complete(struct disk *disk, uint8_t *status);

/* One request, waited for, on slot 0. */
uint8_t disk_do(struct disk *disk, uint32_t type, uint64_t sector, uint32_t length);

#endif

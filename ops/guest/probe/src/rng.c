#include "rng.h"

#include "virtio.h"

#define BLOCK_MAX (1u << 20)
#define GUARD 0xa5

static _Alignas(4096) uint8_t block[BLOCK_MAX + 64];

/* How many bytes the device put into the block. */
static uint32_t ask(struct virtqueue *queue, uint32_t length) {
  queue->descriptors[0] =
      (struct descriptor){.address = (uintptr_t)block, .length = length, .flags = DESCRIPTOR_WRITE};
  virtqueue_add(queue, 0);
  virtqueue_notify(queue);
  uint32_t written;
  while (virtqueue_take_used_length(queue, &written) < 0) pause_cpu();
  return written;
}

static uint64_t ones_of(unsigned octet) {
  uint64_t ones = 0;
  for (; octet != 0; octet &= octet - 1) ones++;
  return ones;
}

bool rng_read(void) {
  static struct virtio_device device;
  struct device_window window;
  const char *problem = virtio_find(VIRTIO_ID_ENTROPY, 0, &window);
  if (problem == NULL) problem = virtio_start(&device, &window, VIRTIO_F_EVENT_IDX, 1);
  if (problem != NULL) {
    print("error=%s\n", problem);
    return false;
  }
  uint64_t ops = argument_number("ops", 16);
  uint32_t length = (uint32_t)argument_number("block", 4096);
  if (length == 0 || length > BLOCK_MAX) {
    print("error=probe.block must be 1 to %u\n", (uint64_t)BLOCK_MAX);
    return false;
  }
  uint64_t bytes = 0, ones = 0, overruns = 0, empty = 0;
  for (uint64_t n = 0; n < ops; n++) {
    memset(block, 0, length);
    block[length] = GUARD;
    uint32_t written = ask(&device.queues[0], length);
    empty += written == 0;
    overruns += written > length || block[length] != GUARD;
    for (uint32_t i = 0; i < written && i < length; i++) ones += ones_of(block[i]);
    bytes += written;
  }
  /* Half of the bits are ones; a sixteenth off is out of the question in more than a few hundred bytes. */
  bool random = ones * 16 > bytes * 8 * 7 && ones * 16 < bytes * 8 * 9;
  print("ops=%u\nbytes=%u\nones=%u\nempty=%u\noverruns=%u\n", ops, bytes, ones, empty, overruns);
  return empty == 0 && overruns == 0 && random;
}

#include "virtio.h"

#include "machine.h"

/* 4.2.2 MMIO device register layout. */
enum {
  MAGIC_VALUE = 0x000,
  VERSION = 0x004,
  DEVICE_ID = 0x008,
  DEVICE_FEATURES = 0x010,
  DEVICE_FEATURES_SEL = 0x014,
  DRIVER_FEATURES = 0x020,
  DRIVER_FEATURES_SEL = 0x024,
  QUEUE_SEL = 0x030,
  QUEUE_NUM_MAX = 0x034,
  QUEUE_NUM = 0x038,
  QUEUE_READY = 0x044,
  QUEUE_NOTIFY = 0x050,
  INTERRUPT_STATUS = 0x060,
  INTERRUPT_ACK = 0x064,
  STATUS = 0x070,
  QUEUE_DESC_LOW = 0x080,
  QUEUE_DRIVER_LOW = 0x090,
  QUEUE_DEVICE_LOW = 0x0a0,
  CONFIG_GENERATION = 0x0fc,
  CONFIG = 0x100,
};

/* 2.1 Device status field. */
enum { ACKNOWLEDGE = 1, DRIVER = 2, DRIVER_OK = 4, FEATURES_OK = 8 };

/* 2.7.6, 2.7.8. Each ring ends in the other side's event index. */
struct available_ring {
  uint16_t flags, index, ring[QUEUE_SIZE_MAX + 1];
};
struct used_element {
  uint32_t id, length;
};
struct used_ring {
  uint16_t flags, index;
  struct used_element ring[QUEUE_SIZE_MAX + 1];
};
#define NO_INTERRUPT 1
#define NO_NOTIFY 1

/* The memory of a queue; the queues take one after the other. */
struct queue_memory {
  _Alignas(64) struct descriptor descriptors[QUEUE_SIZE_MAX];
  _Alignas(64) volatile struct available_ring available;
  _Alignas(64) volatile struct used_ring used;
};
#define QUEUES_MAX 12
static struct queue_memory queue_memories[QUEUES_MAX];
static unsigned queue_memories_taken;

static uint32_t get(const struct device_window *window, uint32_t offset) { return mmio_read32(window->base + offset); }

static void set(const struct device_window *window, uint32_t offset, uint32_t value) {
  mmio_write32(window->base + offset, value);
}

static void set_address(const struct device_window *window, uint32_t offset, const volatile void *address) {
  set(window, offset, (uint32_t)(uintptr_t)address);
  set(window, offset + 4, (uint32_t)((uintptr_t)address >> 32));
}

uint32_t virtio_device_id(const struct device_window *window) {
  return get(window, MAGIC_VALUE) == 0x74726976 && get(window, VERSION) == 2 ? get(window, DEVICE_ID) : 0;
}

static uint64_t device_features(const struct device_window *window) {
  set(window, DEVICE_FEATURES_SEL, 1);
  uint64_t high = get(window, DEVICE_FEATURES);
  set(window, DEVICE_FEATURES_SEL, 0);
  return high << 32 | get(window, DEVICE_FEATURES);
}

static void set_driver_features(const struct device_window *window, uint64_t features) {
  set(window, DRIVER_FEATURES_SEL, 1);
  set(window, DRIVER_FEATURES, (uint32_t)(features >> 32));
  set(window, DRIVER_FEATURES_SEL, 0);
  set(window, DRIVER_FEATURES, (uint32_t)features);
}

const char *virtio_find(uint32_t device_id, unsigned n, struct device_window *window) {
  for (unsigned i = 0; argument_device_window(i, window); i++) {
    if (virtio_device_id(window) == device_id && n-- == 0) {
      return window->irq < TIMER_INTERRUPT ? NULL : "no such GSI";
    }
  }
  return "no such device";
}

static const char *start_queue(struct virtio_device *device, uint16_t index) {
  const struct device_window *window = &device->window;
  struct virtqueue *queue = &device->queues[index];
  set(window, QUEUE_SEL, index);
  uint32_t size = get(window, QUEUE_NUM_MAX);
  if (size == 0) return "the device has too few queues";
  if (queue_memories_taken == QUEUES_MAX) return "the probe has too few queues";
  struct queue_memory *memory = &queue_memories[queue_memories_taken++];
  *queue = (struct virtqueue){.window = window,
                              .index = index,
                              .size = (uint16_t)(size < QUEUE_SIZE_MAX ? size : QUEUE_SIZE_MAX),
                              .event_idx = (device->features & VIRTIO_F_EVENT_IDX) != 0,
                              .descriptors = memory->descriptors,
                              .available_ring = &memory->available,
                              .used_ring = &memory->used};
  set(window, QUEUE_NUM, queue->size);
  set_address(window, QUEUE_DESC_LOW, memory->descriptors);
  set_address(window, QUEUE_DRIVER_LOW, &memory->available);
  set_address(window, QUEUE_DEVICE_LOW, &memory->used);
  set(window, QUEUE_READY, 1);
  return NULL;
}

/* 3.1.1 Driver requirements: device initialization. */
const char *virtio_start(struct virtio_device *device, const struct device_window *window, uint64_t wanted,
                         unsigned queues) {
  device->window = *window;
  device->interrupts_acknowledged = interrupt_count(window->irq);
  set(window, STATUS, 0);
  while (get(window, STATUS) != 0) pause_cpu();
  set(window, STATUS, ACKNOWLEDGE);
  set(window, STATUS, ACKNOWLEDGE | DRIVER);
  device->features = device_features(window) & (wanted | VIRTIO_F_VERSION_1);
  if ((device->features & VIRTIO_F_VERSION_1) == 0) return "the device does not offer VERSION_1";
  set_driver_features(window, device->features);
  set(window, STATUS, ACKNOWLEDGE | DRIVER | FEATURES_OK);
  if ((get(window, STATUS) & FEATURES_OK) == 0) return "the device refused the features";
  for (unsigned index = 0; index < queues; index++) {
    const char *problem = start_queue(device, (uint16_t)index);
    if (problem != NULL) return problem;
    virtqueue_disable_interrupt(&device->queues[index]);
  }
  set(window, STATUS, ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK);
  return NULL;
}

uint8_t virtio_config8(const struct virtio_device *device, uint32_t offset) {
  return mmio_read8(device->window.base + CONFIG + offset);
}

uint32_t virtio_config32(const struct virtio_device *device, uint32_t offset) {
  return get(&device->window, CONFIG + offset);
}

void virtio_set_config32(const struct virtio_device *device, uint32_t offset, uint32_t value) {
  set(&device->window, CONFIG + offset, value);
}

static volatile uint16_t *used_event(const struct virtqueue *queue) {
  return &queue->available_ring->ring[queue->size];
}

/* The two bytes behind the used ring: where the id of one more element would begin. */
static uint16_t available_event(const struct virtqueue *queue) {
  return (uint16_t)queue->used_ring->ring[queue->size].id;
}

void virtqueue_add(struct virtqueue *queue, uint16_t head) {
  queue->available_ring->ring[queue->available++ & (queue->size - 1)] = head;
}

/* 2.7.10: has the index gone past `event` on its way from `old` to `now`? */
static bool needs_event(uint16_t event, uint16_t now, uint16_t old) {
  return (uint16_t)(now - event - 1) < (uint16_t)(now - old);
}

void virtqueue_notify(struct virtqueue *queue) {
  uint16_t old = queue->available_ring->index;
  if (old == queue->available) return;
  compiler_fence();
  queue->available_ring->index = queue->available;
  full_fence();
  bool needed = queue->event_idx ? needs_event(available_event(queue), queue->available, old)
                                 : (queue->used_ring->flags & NO_NOTIFY) == 0;
  if (!needed) {
    queue->notifications_suppressed++;
    return;
  }
  queue->notifications++;
  set(queue->window, QUEUE_NOTIFY, queue->index);
}

int virtqueue_take_used_length(struct virtqueue *queue, uint32_t *written) {
  if (queue->used_ring->index == queue->used_seen) return -1;
  compiler_fence();
  const volatile struct used_element *element = &queue->used_ring->ring[queue->used_seen++ & (queue->size - 1)];
  *written = element->length;
  return (int)element->id;
}

int virtqueue_take_used(struct virtqueue *queue) {
  uint32_t written;
  return virtqueue_take_used_length(queue, &written);
}

bool virtqueue_enable_interrupt(struct virtqueue *queue) {
  if (queue->event_idx) {
    *used_event(queue) = queue->used_seen;
  } else {
    queue->available_ring->flags = 0;
  }
  full_fence();
  return queue->used_ring->index != queue->used_seen;
}

/* With EVENT_IDX there is nothing to do: an index that was passed asks for nothing (2.7.7). */
void virtqueue_disable_interrupt(struct virtqueue *queue) {
  if (!queue->event_idx) queue->available_ring->flags = NO_INTERRUPT;
}

uint32_t virtio_config_generation(const struct virtio_device *device) {
  return get(&device->window, CONFIG_GENERATION);
}

uint32_t virtio_interrupt_status(const struct virtio_device *device) {
  return get(&device->window, INTERRUPT_STATUS);
}

uint32_t virtio_acknowledge_interrupt(struct virtio_device *device) {
  uint32_t status = virtio_interrupt_status(device);
  set(&device->window, INTERRUPT_ACK, status); /* 0 too, as Linux */
  return status;
}

static uint32_t acknowledge_new(struct virtio_device *device) {
  uint64_t count = interrupt_count(device->window.irq);
  if (count == device->interrupts_acknowledged) return 0;
  device->interrupts_acknowledged = count;
  return virtio_acknowledge_interrupt(device);
}

static bool any_used(const struct virtio_device *device, unsigned queues) {
  for (unsigned i = 0; i < queues; i++) {
    if (device->queues[i].used_ring->index != device->queues[i].used_seen) return true;
  }
  return false;
}

/*
 * The device may have used a buffer and be on the way to tell us of it. If it does not for so long, it has: by an
 * interrupt whose bit was gone.
 */
#define LOST_AFTER_NS 2000000000ull

static void await_late_interrupt(struct virtio_device *device) {
  uint64_t deadline = clock_ns() + LOST_AFTER_NS;
  while (interrupt_count(device->window.irq) == device->interrupts_acknowledged) {
    if (clock_ns() >= deadline) {
      device->lost = true;
      return;
    }
    sleep_until_ns(clock_ns() + 1000000);
  }
}

/*
 * Every interrupt that came is acknowledged before the rings are looked at for the last time: a transport that
 * holds its line high until then would otherwise raise no further edge.
 */
void virtio_sleep_until_used(struct virtio_device *device, unsigned queues) {
  uint32_t irq = device->window.irq;
  acknowledge_new(device);
  bool used = false;
  for (unsigned i = 0; i < queues; i++) used |= virtqueue_enable_interrupt(&device->queues[i]);
  if (!used) {
    device->sleeps++;
    interrupt_wait(irq, device->interrupts_acknowledged);
    while (device->heeds_status && !device->lost && (acknowledge_new(device) & INTERRUPT_USED_BUFFER) == 0) {
      device->dismissed++;
      if (any_used(device, queues)) {
        await_late_interrupt(device);
      } else {
        interrupt_wait(irq, device->interrupts_acknowledged);
      }
    }
  }
  for (unsigned i = 0; i < queues; i++) virtqueue_disable_interrupt(&device->queues[i]);
}

void virtio_sleep_until(struct virtio_device *device, unsigned queues, uint64_t deadline_ns) {
  acknowledge_new(device);
  bool used = false;
  for (unsigned i = 0; i < queues; i++) used |= virtqueue_enable_interrupt(&device->queues[i]);
  if (!used) {
    device->sleeps++;
    interrupt_wait_until(device->window.irq, device->interrupts_acknowledged, deadline_ns);
  }
  for (unsigned i = 0; i < queues; i++) virtqueue_disable_interrupt(&device->queues[i]);
}

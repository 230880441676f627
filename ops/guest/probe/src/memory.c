#include "memory.h"

#include "virtio.h"

#define F_UNPLUGGED_INACCESSIBLE (1ull << 1)

/* 5.15.4. */
enum { BLOCK_SIZE = 0, ADDR = 16, REGION_SIZE = 24, PLUGGED_SIZE = 40, REQUESTED_SIZE = 48 };

/* 5.15.6. */
enum { PLUG, UNPLUG, UNPLUG_ALL, STATE, NO_SUCH_TYPE };
enum { ACK, NACK, BUSY, ERROR };
enum { PLUGGED, UNPLUGGED, MIXED };
#define NO_RESPONSE 0xffffu

#define PAGE 4096u
#define POLL_NS 1000000u

/* start.S maps so much: the region must end below it. */
#define MAPPED_END 0x140000000ull

struct memory_request {
  uint16_t type, padding[3];
  uint64_t address;
  uint16_t blocks, more_padding[3];
};

struct memory_response {
  uint16_t type, padding[3], state;
};

static struct virtio_device device;
static struct memory_request in_ram;
static struct memory_response response;
static uint64_t block_bytes, base, region_bytes;

static uint64_t config64(uint32_t offset) {
  uint32_t before;
  uint64_t value;
  do { /* it may change between its halves */
    before = virtio_config_generation(&device);
    value = (uint64_t)virtio_config32(&device, offset + 4) << 32 | virtio_config32(&device, offset);
  } while (virtio_config_generation(&device) != before);
  return value;
}

static bool start(void) {
  struct device_window window;
  const char *problem = virtio_find(VIRTIO_ID_MEMORY, 0, &window);
  if (problem == NULL) problem = virtio_start(&device, &window, VIRTIO_F_EVENT_IDX | F_UNPLUGGED_INACCESSIBLE, 1);
  if (problem == NULL) {
    block_bytes = config64(BLOCK_SIZE);
    base = config64(ADDR);
    region_bytes = config64(REGION_SIZE);
    if (base + region_bytes > MAPPED_END) problem = "the region ends above 5 GiB";
  }
  if (problem != NULL) {
    print("error=%s\n", problem);
    return false;
  }
  print("block_bytes=%u\nbase=0x%x\nregion_bytes=%u\n", block_bytes, base, region_bytes);
  return true;
}

/* The response's type; what it says of the state is in `response`. */
static uint16_t submit(const struct memory_request *request, uint32_t length, uint32_t room) {
  struct virtqueue *queue = &device.queues[0];
  response = (struct memory_response){.type = NO_RESPONSE, .state = NO_RESPONSE};
  queue->descriptors[0] = (struct descriptor){
      .address = (uintptr_t)request, .length = length, .flags = DESCRIPTOR_NEXT, .next = 1};
  queue->descriptors[1] =
      (struct descriptor){.address = (uintptr_t)&response, .length = room, .flags = DESCRIPTOR_WRITE};
  virtqueue_add(queue, 0);
  virtqueue_notify(queue);
  while (virtqueue_take_used(queue) < 0) pause_cpu();
  compiler_fence();
  return *(volatile uint16_t *)&response.type;
}

static uint16_t ask(unsigned type, uint64_t address, uint64_t blocks) {
  in_ram = (struct memory_request){.type = (uint16_t)type, .address = address, .blocks = (uint16_t)blocks};
  return submit(&in_ram, sizeof in_ram, sizeof response);
}

static uint64_t address_of(uint64_t block) { return base + block * block_bytes; }

/* NO_RESPONSE unless the device could tell. */
static uint16_t state_of(uint64_t block, uint64_t blocks) {
  return ask(STATE, address_of(block), blocks) == ACK ? response.state : NO_RESPONSE;
}

static volatile uint64_t *word(uint64_t address) { return (volatile uint64_t *)(uintptr_t)address; }

/* Every page of the blocks has its address at its beginning. */
static void touch(uint64_t from, uint64_t to) {
  for (uint64_t page = address_of(from); page < address_of(to); page += PAGE) *word(page) = page;
}

static uint64_t count_not_zero(uint64_t from, uint64_t to) {
  uint64_t count = 0;
  for (uint64_t page = address_of(from); page < address_of(to); page += PAGE) count += *word(page) != 0;
  return count;
}

static uint64_t count_wrong(uint64_t from, uint64_t to) {
  uint64_t count = 0;
  for (uint64_t page = address_of(from); page < address_of(to); page += PAGE) count += *word(page) != page;
  return count;
}

bool memory_follow(void) {
  if (!start()) return false;
  uint64_t blocks = region_bytes / block_bytes;
  uint64_t plugged = 0, largest = 0, refused = 0, not_zero = 0, wrong = 0, wrong_states = 0;
  print("memory=0\n");
  while (!(largest == blocks && plugged == 0) && refused == 0 && !power_button_pressed()) {
    uint64_t target = config64(REQUESTED_SIZE) / block_bytes;
    if (target == plugged) {
      sleep_until_ns(clock_ns() + POLL_NS);
      continue;
    }
    if (target > plugged) {
      refused += ask(PLUG, address_of(plugged), target - plugged) != ACK;
      not_zero += count_not_zero(plugged, target);
      touch(plugged, target);
    } else {
      wrong += count_wrong(0, plugged);
      refused += ask(UNPLUG, address_of(target), plugged - target) != ACK;
    }
    plugged = target;
    largest = plugged > largest ? plugged : largest;
    wrong += count_wrong(0, plugged);
    wrong_states += plugged != 0 && state_of(0, plugged) != PLUGGED;
    wrong_states += plugged != blocks && state_of(plugged, blocks - plugged) != UNPLUGGED;
    wrong_states += plugged != 0 && plugged != blocks && state_of(0, blocks) != MIXED;
    wrong_states += config64(PLUGGED_SIZE) != plugged * block_bytes;
    print("memory=%u\n", plugged * block_bytes);
  }
  print("refused=%u\nnot_zero=%u\nwrong=%u\nwrong_states=%u\n", refused, not_zero, wrong, wrong_states);
  return refused == 0 && not_zero == 0 && wrong == 0 && wrong_states == 0 && largest == blocks;
}

static bool passed;

static void expect(const char *what, uint16_t answer, uint16_t expected) {
  if (answer == expected) return;
  print("error=%s: answered by %u, not %u\n", what, (uint64_t)answer, (uint64_t)expected);
  passed = false;
}

/* What is asked for may be all, but is not more than half of the region. */
bool memory_hostile(void) {
  if (!start()) return false;
  passed = true;
  uint64_t blocks = region_bytes / block_bytes, end = base + region_bytes;
  uint64_t requested = config64(REQUESTED_SIZE) / block_bytes;
  expect("plug beyond the region", ask(PLUG, end, 1), ERROR);
  expect("plug across its end", ask(PLUG, end - block_bytes, 2), ERROR);
  expect("plug across the end of addresses", ask(PLUG, 0 - block_bytes, 2), ERROR);
  expect("plug below it", ask(PLUG, base - block_bytes, 1), ERROR);
  expect("plug of RAM", ask(PLUG, 0, 1), ERROR);
  expect("plug within a block", ask(PLUG, base + PAGE, 1), ERROR);
  expect("plug of no block", ask(PLUG, base, 0), ERROR);
  expect("plug of more than is asked for", ask(PLUG, base, requested + 1), NACK);
  expect("unplug of what is not plugged", ask(UNPLUG, base, 1), ERROR);
  expect("state beyond the region", ask(STATE, end, 1), ERROR);
  expect("state within a block", ask(STATE, base + 1, 1), ERROR);
  expect("a type that there is not", ask(NO_SUCH_TYPE, base, 1), ERROR);
  expect("half a request", submit(&in_ram, sizeof in_ram / 2, sizeof response), NO_RESPONSE);
  expect("no room for a response", submit(&in_ram, sizeof in_ram, 1), NO_RESPONSE);

  /* Nothing is plugged, so KVM has nothing there: reads are nobody's, and what is written is lost. */
  *word(base) = 1;
  *word(end - PAGE) = 1;
  print("unplugged=0x%x\n", *word(end - PAGE));

  expect("plug", ask(PLUG, base, 2), ACK);
  if (count_not_zero(0, 2) != 0) expect("a block that is new", 1, 0);
  touch(0, 2);
  expect("plug of what is plugged", ask(PLUG, base, 1), ERROR);
  expect("plug of what is in part", ask(PLUG, address_of(1), 2), ERROR);
  expect("unplug of what is in part", ask(UNPLUG, address_of(1), 2), ERROR);
  expect("state of both kinds", state_of(0, blocks), MIXED);

  /* Beside what is plugged, where the host may have given it something. */
  *word(address_of(2)) = 1;
  expect("unplug beside", ask(UNPLUG, address_of(2), 1), ERROR);

  struct memory_request *plugged = (struct memory_request *)(uintptr_t)address_of(1);
  struct memory_request *unplugged = (struct memory_request *)(uintptr_t)address_of(3);
  *plugged = (struct memory_request){.type = STATE, .address = base, .blocks = 1};
  expect("a request in what was plugged", submit(plugged, sizeof *plugged, sizeof response), ACK);
  expect("a request in what was not", submit(unplugged, sizeof *unplugged, sizeof response), NO_RESPONSE);
  expect("unplug", ask(UNPLUG, address_of(1), 1), ACK);
  expect("a request in what was unplugged", submit(plugged, sizeof *plugged, sizeof response), NO_RESPONSE);

  if (count_wrong(0, 1) != 0) expect("what stayed plugged", 1, 0);
  expect("unplug of everything", ask(UNPLUG_ALL, 0, 0), ACK);
  expect("its state", state_of(0, blocks), UNPLUGGED);
  expect("plug of all that is asked for", ask(PLUG, base, requested), ACK);
  if (count_not_zero(0, 2) != 0) expect("blocks that were used before", 1, 0);
  print("in_turn=%s\n", passed ? "all" : "not all");
  return passed;
}

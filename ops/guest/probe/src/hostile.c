#include "hostile.h"

#include "disk.h"

/* What is under attack has rings of its own: what a broken device does to them stays there. */

enum {
  MAGIC_VALUE = 0x000,
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
  NO_REGISTER = 0x0c0,
  CONFIG = 0x100,
};
#define CONFIG_LAST_WORD (CONFIG + 56)
#define WINDOW_LAST_WORD 0xffc

enum { ACKNOWLEDGE = 1, DRIVER = 2, DRIVER_OK = 4, FEATURES_OK = 8, NEEDS_RESET = 64 };
#define NEGOTIATED (ACKNOWLEDGE | DRIVER | FEATURES_OK)
#define LIVE (NEGOTIATED | DRIVER_OK)
#define CONFIGURATION_CHANGE 2u

#define NEXT DESCRIPTOR_NEXT
#define WRITE DESCRIPTOR_WRITE
#define INDIRECT DESCRIPTOR_INDIRECT
#define F_NEVER_OFFERED (1ull << 63)

#define SIZE 256u
#define IN_THE_HOLE 0xd8000000ull
#define WITHIN_NS 5000000000ull

static struct device_window victim;

static _Alignas(16) volatile struct descriptor descriptors[SIZE], table[2 * SIZE];
static volatile struct {
  uint16_t flags, index, ring[SIZE + 1];
} available;
static _Alignas(4) volatile struct {
  uint16_t flags, index;
  struct {
    uint32_t id, length;
  } ring[SIZE + 1];
} used;
static struct {
  uint32_t type, reserved;
  uint64_t sector;
} header;
static volatile uint8_t data[4096], status;
#define NOT_WRITTEN 0xff
static uint16_t seen; /* of the used ring */

static uint32_t get(uint32_t offset) { return mmio_read32(victim.base + offset); }
static void set(uint32_t offset, uint32_t value) { mmio_write32(victim.base + offset, value); }

static void set_address(uint32_t offset, uint64_t address) {
  set(offset, (uint32_t)address);
  set(offset + 4, (uint32_t)(address >> 32));
}

/* ---- the steps of a driver, to stumble at any of them ---- */

static void begin(uint64_t features) {
  set(STATUS, 0);
  memset((void *)(uintptr_t)&available, 0, sizeof available);
  memset((void *)(uintptr_t)&used, 0, sizeof used);
  seen = 0;
  set(STATUS, ACKNOWLEDGE);
  set(STATUS, ACKNOWLEDGE | DRIVER);
  set(DRIVER_FEATURES_SEL, 0);
  set(DRIVER_FEATURES, (uint32_t)features);
  set(DRIVER_FEATURES_SEL, 1);
  set(DRIVER_FEATURES, (uint32_t)(features >> 32));
}

static void negotiate(uint64_t features) {
  begin(features | VIRTIO_F_VERSION_1);
  set(STATUS, NEGOTIATED);
}

static void set_up(uint64_t descriptor_table, uint64_t used_ring) {
  set(QUEUE_SEL, 0);
  set(QUEUE_NUM, SIZE);
  set_address(QUEUE_DESC_LOW, descriptor_table);
  set_address(QUEUE_DRIVER_LOW, (uintptr_t)&available);
  set_address(QUEUE_DEVICE_LOW, used_ring);
  set(QUEUE_READY, 1);
}

static void go_live_without_indirect(void) {
  negotiate(0);
  set_up((uintptr_t)descriptors, (uintptr_t)&used);
  set(STATUS, LIVE);
}

static void go_live(void) {
  negotiate(VIRTIO_F_INDIRECT_DESC);
  set_up((uintptr_t)descriptors, (uintptr_t)&used);
  set(STATUS, LIVE);
}

static void describe(volatile struct descriptor *at, uint64_t address, uint64_t length, unsigned flags, unsigned next) {
  at->address = address;
  at->length = (uint32_t)length;
  at->flags = (uint16_t)flags;
  at->next = (uint16_t)next;
}

/* A request in the first three descriptors: 16 bytes of header, data, status. */
static void request(uint32_t type, uint64_t sector, uint64_t length) {
  header.type = type;
  header.sector = sector;
  status = NOT_WRITTEN;
  describe(&descriptors[0], (uintptr_t)&header, sizeof header, NEXT, 1);
  describe(&descriptors[1], (uintptr_t)data, length, type == DISK_OUT ? NEXT : NEXT | WRITE, 2);
  describe(&descriptors[2], (uintptr_t)&status, 1, WRITE, 0);
}

static void move_index_to(uint16_t index) {
  compiler_fence();
  available.index = index;
  full_fence();
  set(QUEUE_NOTIFY, 0);
}

static void offer(uint16_t head) {
  available.ring[available.index % SIZE] = head;
  move_index_to((uint16_t)(available.index + 1));
}

/* ---- what the device does then ---- */

static bool needs_reset(void) {
  return (get(STATUS) & NEEDS_RESET) != 0 && (get(INTERRUPT_STATUS) & CONFIGURATION_CHANGE) != 0;
}

static bool has_used(void) { return used.index != seen; }

static bool soon(bool (*condition)(void)) {
  uint64_t deadline = clock_ns() + WITHIN_NS;
  while (!condition()) {
    if (clock_ns() > deadline) return false;
    pause_cpu();
  }
  return true;
}

/* One chain more came back, this one, with this in its status byte. */
static bool returned(uint16_t head, uint8_t expected) {
  if (!soon(has_used)) return false;
  uint16_t last = seen++;
  return used.index == seen && used.ring[last % SIZE].id == head && status == expected;
}

static bool serves(void) {
  request(DISK_IN, 0, SECTOR_SIZE);
  offer(0);
  return returned(0, DISK_OK);
}

static bool breaks_down(uint16_t head) {
  offer(head);
  return soon(needs_reset) && !has_used();
}

/* What is in the first descriptors is no good; the queue goes on. */
static bool answers(uint8_t complaint) {
  offer(0);
  return returned(0, complaint) && serves();
}

/* ---- registers and life cycle ---- */

static bool status_step_left_out(void) {
  set(STATUS, 0);
  set(STATUS, LIVE);
  return get(STATUS) == 0;
}

static bool status_bit_taken_back(void) {
  go_live();
  set(STATUS, ACKNOWLEDGE);
  return get(STATUS) == LIVE && serves();
}

static bool features_not_offered(void) {
  negotiate(F_NEVER_OFFERED);
  return get(STATUS) == (ACKNOWLEDGE | DRIVER);
}

static bool features_of_a_legacy_driver(void) {
  begin(0);
  set(STATUS, NEGOTIATED);
  return get(STATUS) == (ACKNOWLEDGE | DRIVER);
}

static bool features_changed_when_frozen(void) {
  negotiate(0);
  set(DRIVER_FEATURES_SEL, 0);
  set(DRIVER_FEATURES, (uint32_t)VIRTIO_F_EVENT_IDX);
  set_up((uintptr_t)descriptors, (uintptr_t)&used);
  set(STATUS, LIVE);
  return serves();
}

static bool has_no_queue_of(uint32_t size) {
  negotiate(0);
  set(QUEUE_SEL, 0);
  set(QUEUE_NUM, size);
  set(QUEUE_READY, 1);
  return get(QUEUE_READY) == 0;
}

static bool queue_size_of_zero(void) { return has_no_queue_of(0); }
static bool queue_size_no_power_of_two(void) { return has_no_queue_of(SIZE - 1); }
static bool queue_size_above_the_maximum(void) { return has_no_queue_of(2 * get(QUEUE_NUM_MAX)); }
static bool queue_size_that_fits_truncated(void) { return has_no_queue_of(0x10000 + SIZE); }

static bool queue_that_does_not_exist(void) {
  negotiate(0);
  set(QUEUE_SEL, 0x10000);
  set(QUEUE_NUM, SIZE);
  set(QUEUE_READY, 1);
  return get(QUEUE_NUM_MAX) == 0 && get(QUEUE_READY) == 0;
}

static bool queue_moved_while_ready(void) {
  negotiate(0);
  set_up((uintptr_t)descriptors, (uintptr_t)&used);
  set_address(QUEUE_DESC_LOW, IN_THE_HOLE);
  set(STATUS, LIVE);
  return serves();
}

static bool queue_moved_while_live(void) {
  go_live();
  set_address(QUEUE_DEVICE_LOW, IN_THE_HOLE);
  return serves();
}

static bool queue_ready_by_two(void) {
  negotiate(0);
  set(QUEUE_SEL, 0);
  set(QUEUE_NUM, SIZE);
  set(QUEUE_READY, 2);
  return get(QUEUE_READY) == 0;
}

static bool registers_by_other_widths(void) {
  go_live();
  *(volatile uint8_t *)(uintptr_t)(victim.base + STATUS) = 0;
  *(volatile uint16_t *)(uintptr_t)(victim.base + STATUS) = 0;
  *(volatile uint64_t *)(uintptr_t)(victim.base + STATUS) = 0;
  *(volatile uint8_t *)(uintptr_t)(victim.base + QUEUE_READY) = 0;
  return get(STATUS) == LIVE && serves();
}

static bool registers_that_do_not_exist(void) {
  go_live();
  set(MAGIC_VALUE, 0);
  set(QUEUE_NUM_MAX, 0);
  set(NO_REGISTER, 1);
  return get(MAGIC_VALUE) == 0x74726976 && get(NO_REGISTER) == 0 && serves();
}

static bool configuration_written(void) {
  go_live();
  uint32_t capacity = get(CONFIG);
  set(CONFIG, 1);
  *(volatile uint8_t *)(uintptr_t)(victim.base + CONFIG) = 1;
  return get(CONFIG) == capacity && serves();
}

static bool configuration_beyond_its_end(void) {
  go_live();
  set(CONFIG_LAST_WORD + 2, ~0u);
  set(WINDOW_LAST_WORD, ~0u);
  return get(CONFIG_LAST_WORD + 4) == 0 && get(WINDOW_LAST_WORD) == 0 && serves();
}

static bool notification_too_early(void) {
  negotiate(0);
  set_up((uintptr_t)descriptors, (uintptr_t)&used);
  request(DISK_IN, 0, SECTOR_SIZE);
  offer(0);
  if (has_used()) return false;
  set(STATUS, LIVE);
  return returned(0, DISK_OK);
}

static bool notification_of_no_queue(void) {
  go_live();
  set(QUEUE_NOTIFY, 7);
  set(QUEUE_NOTIFY, 0x10000);
  return serves();
}

static bool acknowledgement_of_everything(void) {
  go_live();
  set(INTERRUPT_ACK, ~0u);
  return serves();
}

static bool activates_not(uint64_t descriptor_table, uint64_t used_ring) {
  negotiate(0);
  set_up(descriptor_table, used_ring);
  set(STATUS, LIVE);
  return get(STATUS) == (LIVE | NEEDS_RESET) && needs_reset();
}

static bool ring_misaligned(void) { return activates_not((uintptr_t)descriptors + 8, (uintptr_t)&used); }
static bool ring_in_a_hole(void) { return activates_not((uintptr_t)descriptors, IN_THE_HOLE); }
static bool ring_on_registers(void) { return activates_not(victim.base, (uintptr_t)&used); }
static bool ring_over_the_end_of_memory(void) { return activates_not(boot_memory_end() - 16, (uintptr_t)&used); }
static bool ring_over_the_end_of_addresses(void) { return activates_not(~0xfull, (uintptr_t)&used); }

/* ---- rings ---- */

static bool head_out_of_range(void) {
  go_live();
  return breaks_down(SIZE);
}

static bool next_out_of_range(void) {
  go_live();
  describe(&descriptors[0], (uintptr_t)data, 16, NEXT, 0xffff);
  return breaks_down(0);
}

static bool chain_that_loops(void) {
  go_live();
  describe(&descriptors[0], (uintptr_t)data, 16, NEXT, 1);
  describe(&descriptors[1], (uintptr_t)data, 16, NEXT, 0);
  return breaks_down(0);
}

/* As long as the queue in its table, and one before it. */
static bool chain_longer_than_the_queue(void) {
  go_live();
  for (unsigned i = 0; i < SIZE; i++) describe(&table[i], (uintptr_t)data, 1, i + 1 < SIZE ? NEXT : 0, i + 1);
  describe(&descriptors[0], (uintptr_t)data, 16, NEXT, 1);
  describe(&descriptors[1], (uintptr_t)table, SIZE * sizeof table[0], INDIRECT, 0);
  return breaks_down(0);
}

static bool breaks_down_by_table(uint64_t address, uint64_t length, unsigned flags) {
  describe(&table[0], (uintptr_t)data, 16, 0, 0);
  describe(&descriptors[0], address, length, flags, 1);
  describe(&descriptors[1], (uintptr_t)data, 16, 0, 0);
  return breaks_down(0);
}

static bool indirect_not_negotiated(void) {
  go_live_without_indirect();
  return breaks_down_by_table((uintptr_t)table, sizeof table[0], INDIRECT);
}

static bool indirect_nested(void) {
  go_live();
  describe(&table[1], (uintptr_t)table, sizeof table[0], INDIRECT, 0);
  return breaks_down_by_table((uintptr_t)&table[1], sizeof table[0], INDIRECT);
}

static bool indirect_continued(void) {
  go_live();
  return breaks_down_by_table((uintptr_t)table, sizeof table[0], INDIRECT | NEXT);
}

static bool indirect_of_no_bytes(void) {
  go_live();
  return breaks_down_by_table((uintptr_t)table, 0, INDIRECT);
}

static bool indirect_of_part_of_a_descriptor(void) {
  go_live();
  return breaks_down_by_table((uintptr_t)table, sizeof table[0] + 1, INDIRECT);
}

static bool indirect_over_the_end_of_memory(void) {
  go_live();
  return breaks_down_by_table(boot_memory_end() - sizeof table[0], 2 * sizeof table[0], INDIRECT);
}

static bool available_index_that_jumps(void) {
  go_live();
  request(DISK_IN, 0, SECTOR_SIZE);
  move_index_to(SIZE + 1);
  return soon(needs_reset) && !has_used();
}

static bool available_index_that_goes_back(void) {
  go_live();
  if (!serves()) return false;
  move_index_to(0);
  return soon(needs_reset) && !has_used();
}

/* A request whose data, all of it or a part, lies somewhere else. */
static bool refuses_data_at(uint64_t address, uint64_t length) {
  go_live();
  request(DISK_IN, 0, SECTOR_SIZE);
  descriptors[1].address = address;
  descriptors[1].length = (uint32_t)length;
  return answers(DISK_IOERR);
}

static bool buffer_of_no_bytes(void) { return refuses_data_at((uintptr_t)data, 0); }
static bool buffer_in_a_hole(void) { return refuses_data_at(IN_THE_HOLE, SECTOR_SIZE); }
static bool buffer_on_registers(void) { return refuses_data_at(victim.base, SECTOR_SIZE); }
static bool buffer_over_the_end_of_memory(void) { return refuses_data_at(boot_memory_end() - 256, SECTOR_SIZE); }
static bool buffer_over_the_end_of_addresses(void) { return refuses_data_at(-256ull, SECTOR_SIZE); }

/* 2^32 of data in pieces of 32 MiB, all of the same memory. */
static bool buffers_of_too_many_bytes(void) {
  go_live();
  request(DISK_IN, 0, SECTOR_SIZE);
  for (unsigned i = 1; i <= 128; i++) describe(&descriptors[i], 0, 32u << 20, NEXT | WRITE, i + 1);
  describe(&descriptors[129], (uintptr_t)&status, 1, WRITE, 0);
  return answers(DISK_IOERR);
}

static bool buffer_in_its_own_ring(void) {
  go_live();
  request(DISK_IN, 0, SECTOR_SIZE);
  descriptors[1].address = (uintptr_t)&used;
  return answers(DISK_OK);
}

static bool buffer_readable_after_writable(void) {
  go_live();
  request(DISK_IN, 0, SECTOR_SIZE);
  descriptors[0].flags = NEXT | WRITE;
  descriptors[1].flags = NEXT;
  return answers(DISK_IOERR);
}

/* ---- requests ---- */

static bool request_without_a_status(void) {
  go_live();
  request(DISK_IN, 0, SECTOR_SIZE);
  descriptors[0].flags = 0;
  return answers(NOT_WRITTEN);
}

static bool request_with_a_short_header(void) {
  go_live();
  request(DISK_IN, 0, SECTOR_SIZE);
  descriptors[0].length--;
  return answers(DISK_IOERR);
}

static bool refuses_request(uint32_t type, uint64_t sector, uint64_t length, uint8_t complaint) {
  go_live();
  request(type, sector, length);
  return answers(complaint);
}

static bool request_for_part_of_a_sector(void) { return refuses_request(DISK_IN, 0, SECTOR_SIZE - 1, DISK_IOERR); }
static bool request_beyond_the_end(void) { return refuses_request(DISK_OUT, ~0ull, SECTOR_SIZE, DISK_IOERR); }
static bool request_for_an_id_without_room(void) { return refuses_request(DISK_GET_ID, 0, 19, DISK_IOERR); }
static bool request_of_unknown_type(void) { return refuses_request(99, 0, SECTOR_SIZE, DISK_UNSUPPORTED); }

/* ---- all of them ---- */

struct attack {
  const char *name;
  bool (*run)(void);
};

#define ATTACK(name) {#name, name}
static const struct attack attacks[] = {
    ATTACK(status_step_left_out),
    ATTACK(status_bit_taken_back),
    ATTACK(features_not_offered),
    ATTACK(features_of_a_legacy_driver),
    ATTACK(features_changed_when_frozen),
    ATTACK(queue_size_of_zero),
    ATTACK(queue_size_no_power_of_two),
    ATTACK(queue_size_above_the_maximum),
    ATTACK(queue_size_that_fits_truncated),
    ATTACK(queue_that_does_not_exist),
    ATTACK(queue_moved_while_ready),
    ATTACK(queue_moved_while_live),
    ATTACK(queue_ready_by_two),
    ATTACK(registers_by_other_widths),
    ATTACK(registers_that_do_not_exist),
    ATTACK(configuration_written),
    ATTACK(configuration_beyond_its_end),
    ATTACK(notification_too_early),
    ATTACK(notification_of_no_queue),
    ATTACK(acknowledgement_of_everything),
    ATTACK(ring_misaligned),
    ATTACK(ring_in_a_hole),
    ATTACK(ring_on_registers),
    ATTACK(ring_over_the_end_of_memory),
    ATTACK(ring_over_the_end_of_addresses),
    ATTACK(head_out_of_range),
    ATTACK(next_out_of_range),
    ATTACK(chain_that_loops),
    ATTACK(chain_longer_than_the_queue),
    ATTACK(indirect_not_negotiated),
    ATTACK(indirect_nested),
    ATTACK(indirect_continued),
    ATTACK(indirect_of_no_bytes),
    ATTACK(indirect_of_part_of_a_descriptor),
    ATTACK(indirect_over_the_end_of_memory),
    ATTACK(available_index_that_jumps),
    ATTACK(available_index_that_goes_back),
    ATTACK(buffer_of_no_bytes),
    ATTACK(buffer_in_a_hole),
    ATTACK(buffer_on_registers),
    ATTACK(buffer_over_the_end_of_memory),
    ATTACK(buffer_over_the_end_of_addresses),
    ATTACK(buffers_of_too_many_bytes),
    ATTACK(buffer_in_its_own_ring),
    ATTACK(buffer_readable_after_writable),
    ATTACK(request_without_a_status),
    ATTACK(request_with_a_short_header),
    ATTACK(request_for_part_of_a_sector),
    ATTACK(request_beyond_the_end),
    ATTACK(request_for_an_id_without_room),
    ATTACK(request_of_unknown_type),
};
#define ATTACKS (sizeof attacks / sizeof attacks[0])

static bool is_asked(const char *name) {
  char program[64] = "hostile-";
  size_t length = 8;
  while (*name != 0 && length + 1 < sizeof program) program[length++] = *name++;
  return argument_is("run", program, "");
}

bool hostile_is_asked(void) {
  bool asked = is_asked("all");
  for (size_t i = 0; i < ATTACKS; i++) asked |= is_asked(attacks[i].name);
  return asked;
}

static bool find_victim(void) {
  for (unsigned i = 0; argument_device_window(i, &victim); i++) {
    if (virtio_device_id(&victim) == VIRTIO_ID_BLOCK) return true;
  }
  return false;
}

/* The other disk keeps what it is given. */
static bool goes_on(struct disk *bystander, uint8_t value) {
  uint8_t *buffer = disk_buffer(0);
  memset(buffer, value, SECTOR_SIZE);
  bool kept = disk_do(bystander, DISK_OUT, 0, SECTOR_SIZE) == DISK_OK;
  memset(buffer, 0, SECTOR_SIZE);
  kept &= disk_do(bystander, DISK_IN, 0, SECTOR_SIZE) == DISK_OK;
  for (unsigned i = 0; i < SECTOR_SIZE; i++) kept &= buffer[i] == value;
  return kept;
}

static bool comes_back(void) {
  go_live();
  return serves();
}

bool hostile(void) {
  static struct disk bystander;
  const char *problem = find_victim() ? disk_open(&bystander, 1, 1, true, VIRTIO_F_EVENT_IDX) : "no disk to attack";
  if (problem != NULL) {
    print("error=%s\n", problem);
    return false;
  }
  bool all = is_asked("all"), sound = true;
  for (size_t i = 0; i < ATTACKS; i++) {
    if (!all && !is_asked(attacks[i].name)) continue;
    bool reacted = attacks[i].run();
    bool went_on = goes_on(&bystander, (uint8_t)(i + 1));
    bool came_back = comes_back();
    print("attack=%s\nreacted=%u\nother_goes_on=%u\ncomes_back=%u\n", attacks[i].name, (uint64_t)reacted,
          (uint64_t)went_on, (uint64_t)came_back);
    sound &= reacted && went_on && came_back;
  }
  return sound;
}

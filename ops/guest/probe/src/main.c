/* The probe's programs: chosen by probe.run, each prints key=value lines, then the guest ends as probe.end says. */
#include "balloon.h"
#include "console.h"
#include "disk.h"
#include "hostile.h"
#include "memory.h"
#include "netprograms.h"
#include "rng.h"
#include "vsock.h"

/* README.md tells what they take. */
static const char *const PROGRAMS =
    "hello idle tick stream spin smp blk-info blk-read blk-write blk-verify blk-ranges net-info net-verify net-rate net-serve net-hostile "
    "rng-read reg-read config-read vsock-echo vsock-sink vsock-source vsock-agent vsock-verify vsock-send vsock-ping vsock-hostile "
    "balloon-follow balloon-report balloon-hostile memory-follow memory-hostile console-echo console-send console-hostile";

/* ---- disks ---- */

static bool open_disk(struct disk *disk) {
  uint64_t ring_features = (argument_number("event_idx", 1) != 0 ? VIRTIO_F_EVENT_IDX : 0) |
                           (argument_number("indirect", 1) != 0 ? VIRTIO_F_INDIRECT_DESC : 0);
  const char *problem =
      disk_open(disk, (unsigned)argument_number("disk", 0), (unsigned)argument_number("queues", 1),
                argument_is("mode", "poll", "irq"), ring_features);
  if (problem != NULL) print("error=%s\n", problem);
  return problem == NULL;
}

static bool blk_info(void) {
  static struct disk disk;
  if (!open_disk(&disk)) return false;
  uint8_t status = disk_do(&disk, DISK_GET_ID, 0, 20);
  disk_buffer(0)[20] = 0;
  print("id=%s\nid_status=%u\ncapacity_sectors=%u\nread_only=%u\nfeatures=0x%x\nqueue_size=%u\n",
        (const char *)disk_buffer(0), (uint64_t)status, disk.capacity_sectors, (uint64_t)disk.read_only,
        disk.device.features, (uint64_t)disk.device.queues[0].size);
  return status == DISK_OK;
}

/* xorshift64*: reads are spread, and the same in every run. */
static uint64_t next_random(uint64_t *state) {
  *state ^= *state >> 12;
  *state ^= *state << 25;
  *state ^= *state >> 27;
  return *state * 0x2545f4914f6cdd1dull;
}

/* What a transfer program works on: blocks of one size, so many at once. */
struct workload {
  uint32_t block, depth;
  uint64_t blocks; /* on the disk */
};

static bool read_workload(const struct disk *disk, struct workload *work) {
  work->block = (uint32_t)argument_number("block", 4096);
  work->depth = (uint32_t)argument_number("depth", 1);
  if (work->block == 0 || work->block % SECTOR_SIZE != 0 || work->block > BLOCK_MAX) {
    print("error=probe.block must be a multiple of %u up to %u\n", (uint64_t)SECTOR_SIZE, (uint64_t)BLOCK_MAX);
    return false;
  }
  uint32_t depth_max = disk_slots_of(disk, work->block);
  if (work->depth == 0 || work->depth > depth_max) {
    print("error=probe.depth must be 1 to %u\n", (uint64_t)depth_max);
    return false;
  }
  work->blocks = disk->capacity_sectors / (work->block / SECTOR_SIZE);
  if (work->blocks == 0) print("error=the disk is smaller than a block\n");
  return work->blocks != 0;
}

/* Reads or writes as fast as it goes, whatever is in the buffers. */
static bool blk_rate(uint32_t type) {
  static struct disk disk;
  struct workload work;
  if (!open_disk(&disk) || !read_workload(&disk, &work)) return false;
  bool sequential = argument_is("pattern", "sequential", "random");
  uint64_t operations = argument_number("ops", 1000);
  uint64_t duration_ns = argument_number("duration_ms", 0) * 1000000;
  uint64_t random = 88172645463325252ull, submitted = 0, completed = 0, errors = 0;
  uint64_t sectors_per_block = work.block / SECTOR_SIZE;
  uint32_t irq = disk.device.window.irq;
  uint64_t interrupts = interrupt_count(irq);
  uint64_t start = read_tsc(), elapsed_ns = 0;
  unsigned idle_slot = 0; /* until each slot has had its first request */
  bool more = true;
  while ((more || completed < submitted) && !disk.device.lost) {
    if (more && submitted - completed < work.depth) {
      uint64_t block = sequential ? submitted % work.blocks : next_random(&random) % work.blocks;
      disk_submit(&disk, idle_slot, type, block * sectors_per_block, work.block);
      submitted++;
      idle_slot = (unsigned)submitted;
      more = (operations == 0 || submitted < operations) && (duration_ns == 0 || elapsed_ns < duration_ns);
      if (submitted < work.depth) continue;
    }
    uint8_t status;
    idle_slot = disk_complete(&disk, &status);
    completed++;
    errors += status != DISK_OK;
    elapsed_ns = ticks_to_ns(read_tsc() - start);
  }
  uint64_t notifications = 0, suppressed = 0;
  for (unsigned i = 0; i < disk.queues; i++) {
    notifications += disk.device.queues[i].notifications;
    suppressed += disk.device.queues[i].notifications_suppressed;
  }
  print("ops=%u\nerrors=%u\nelapsed_ns=%u\n", completed, errors, elapsed_ns);
  print("iops=%u\n", elapsed_ns == 0 ? 0 : completed * 1000000000ull / elapsed_ns);
  print("notifications=%u\nnotifications_suppressed=%u\ninterrupts=%u\nsleeps=%u\n", notifications,
        suppressed, interrupt_count(irq) - interrupts, disk.device.sleeps);
  print("interrupts_dismissed=%u\nlost=%u\n", disk.device.dismissed, (uint64_t)disk.device.lost);
  return errors == 0 && !disk.device.lost;
}

/* Word `index` of the disk as blk-verify writes it: tells block, place and seed apart. */
static uint64_t pattern(uint64_t seed, uint64_t index) {
  uint64_t z = seed + index * 0x9e3779b97f4a7c15ull;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
  return z ^ (z >> 27);
}

static void fill(uint8_t *buffer, uint32_t length, uint64_t seed, uint64_t block) {
  for (uint32_t i = 0; i < length / 8; i++) ((uint64_t *)buffer)[i] = pattern(seed, block * (length / 8) + i);
}

static uint64_t count_wrong(const uint8_t *buffer, uint32_t length, uint64_t seed, uint64_t block) {
  uint64_t wrong = 0;
  for (uint32_t i = 0; i < length / 8; i++) {
    wrong += ((const uint64_t *)buffer)[i] != pattern(seed, block * (length / 8) + i);
  }
  return wrong;
}

/* Blocks 0 to count, `depth` at once, in order; on reads compares. Returns failed requests; adds up wrong words. */
static uint64_t sweep(struct disk *disk, const struct workload *work, uint32_t type, uint64_t count, uint64_t seed,
                      uint64_t *wrong_words) {
  static uint64_t block_of[DEPTH_MAX];
  uint64_t submitted = 0, completed = 0, errors = 0;
  while (completed < count) {
    unsigned slot = (unsigned)submitted;
    if (submitted >= work->depth || submitted == count) {
      uint8_t status;
      slot = disk_complete(disk, &status);
      completed++;
      if (status != DISK_OK) {
        errors++;
      } else if (type == DISK_IN) {
        *wrong_words += count_wrong(disk_buffer(slot), work->block, seed, block_of[slot]);
      }
    }
    if (submitted < count) {
      block_of[slot] = submitted++;
      if (type == DISK_OUT) {
        fill(disk_buffer(slot), work->block, seed, block_of[slot]);
      } else {
        memset(disk_buffer(slot), 0, work->block);
      }
      disk_submit(disk, slot, type, block_of[slot] * (work->block / SECTOR_SIZE), work->block);
    }
  }
  return errors;
}

static bool blk_verify(void) {
  static struct disk disk;
  struct workload work;
  if (!open_disk(&disk) || !read_workload(&disk, &work)) return false;
  uint64_t seed = argument_number("seed", 1);
  uint64_t count = argument_number("ops", 256);
  if (count > work.blocks) count = work.blocks;
  uint64_t wrong_words = 0;
  uint64_t write_errors = sweep(&disk, &work, DISK_OUT, count, seed, &wrong_words);
  uint8_t flush = disk_do(&disk, DISK_FLUSH, 0, 0);
  uint64_t read_errors = sweep(&disk, &work, DISK_IN, count, seed, &wrong_words);
  uint8_t beyond = disk_do(&disk, DISK_IN, disk.capacity_sectors, SECTOR_SIZE);
  print("capacity_sectors=%u\nread_only=%u\nblocks=%u\n", disk.capacity_sectors, (uint64_t)disk.read_only, count);
  print("write_errors=%u\nread_errors=%u\nwrong_words=%u\nflush_status=%u\nbeyond_end_status=%u\n", write_errors,
        read_errors, wrong_words, (uint64_t)flush, (uint64_t)beyond);
  return write_errors == 0 && read_errors == 0 && wrong_words == 0 && flush == DISK_OK && beyond == DISK_IOERR;
}

/* One range of `sectors`, waited for. */
static uint8_t change_range(struct disk *disk, uint32_t type, uint64_t sector, uint64_t sectors, uint32_t flags) {
  *(struct disk_range *)(void *)disk_buffer(0) =
      (struct disk_range){.sector = sector, .sectors = (uint32_t)sectors, .flags = flags};
  return disk_do(disk, type, 0, sizeof(struct disk_range));
}

static uint64_t count_not_zero(const uint8_t *buffer, uint32_t length) {
  uint64_t count = 0;
  for (uint32_t i = 0; i < length / 8; i++) count += ((const uint64_t *)(const void *)buffer)[i] != 0;
  return count;
}

/*
 * Writes a pattern; makes zeroes of the second quarter, gives back the third. The first and the last must stay, the
 * second must read as zeroes, with unmap and without; ranges and flags that are illegal must change nothing.
 */
static bool blk_ranges(void) {
  static struct disk disk;
  struct workload work;
  if (!open_disk(&disk) || !read_workload(&disk, &work)) return false;
  uint64_t seed = argument_number("seed", 1), wrong_words = 0, not_zero = 0;
  uint64_t count = argument_number("ops", 256);
  if (count > work.blocks) count = work.blocks;
  uint64_t quarter = count / 4, per_block = work.block / SECTOR_SIZE;
  if (quarter == 0) {
    print("error=needs 4 blocks at least\n");
    return false;
  }
  uint64_t errors = sweep(&disk, &work, DISK_OUT, count, seed, &wrong_words);
  uint8_t zeroed = change_range(&disk, DISK_WRITE_ZEROES, quarter * per_block, quarter / 2 * per_block, 0);
  uint8_t unmapped = change_range(&disk, DISK_WRITE_ZEROES, (quarter + quarter / 2) * per_block,
                                  (quarter - quarter / 2) * per_block, DISK_RANGE_UNMAP);
  uint8_t discarded = change_range(&disk, DISK_DISCARD, 2 * quarter * per_block, quarter * per_block, 0);
  uint8_t flagged = change_range(&disk, DISK_DISCARD, 0, per_block, DISK_RANGE_UNMAP);
  uint8_t beyond = change_range(&disk, DISK_WRITE_ZEROES, disk.capacity_sectors - 1, 2, 0);
  for (uint64_t block = 0; block < count; block++) {
    if (block / quarter == 2 && block < 3 * quarter) continue; /* what a discarded block reads as is open */
    errors += disk_do(&disk, DISK_IN, block * per_block, work.block) != DISK_OK;
    if (block >= quarter && block < 2 * quarter) {
      not_zero += count_not_zero(disk_buffer(0), work.block);
    } else {
      wrong_words += count_wrong(disk_buffer(0), work.block, seed, block);
    }
  }
  print("blocks=%u\nerrors=%u\nwrong_words=%u\nnot_zero=%u\n", count, errors, wrong_words, not_zero);
  print("zeroes_status=%u\nunmap_status=%u\ndiscard_status=%u\n", (uint64_t)zeroed, (uint64_t)unmapped,
        (uint64_t)discarded);
  print("bad_flag_status=%u\nbeyond_end_status=%u\n", (uint64_t)flagged, (uint64_t)beyond);
  return errors == 0 && wrong_words == 0 && not_zero == 0 && zeroed == DISK_OK && unmapped == DISK_OK &&
         discarded == DISK_OK && flagged == DISK_UNSUPPORTED && beyond == DISK_IOERR;
}

/* ---- registers ---- */

/* What a driver reads on its way through an interrupt, and what it costs. */
static bool reg_read(void) {
  static struct disk disk;
  if (!open_disk(&disk)) return false;
  uint64_t operations = argument_number("ops", 1000), wrong = 0;
  uint64_t start = read_tsc();
  for (uint64_t i = 0; i < operations; i++) wrong += virtio_interrupt_status(&disk.device) != 0;
  uint64_t elapsed_ns = ticks_to_ns(read_tsc() - start);
  for (uint64_t i = 0; i < operations; i++) wrong += virtio_device_id(&disk.device.window) != VIRTIO_ID_BLOCK;
  print("ops=%u\nwrong=%u\nread_ps=%u\n", operations, wrong, operations == 0 ? 0 : elapsed_ns * 1000 / operations);
  return wrong == 0;
}

/*
 * A device that keeps the first two words of its configuration equal, and changes them. Of one generation, they are
 * never seen to differ.
 */
static bool config_read(void) {
  struct device_window window;
  struct virtio_device device;
  if (!argument_device_window(0, &window)) return false;
  const char *problem = virtio_start(&device, &window, 0, 1);
  if (problem != NULL) {
    print("error=%s\n", problem);
    return false;
  }
  uint64_t changes = argument_number("ops", 1000), seen = 0, reads = 0, torn = 0;
  uint32_t last = virtio_config_generation(&device);
  while (seen < changes) {
    uint32_t before = virtio_config_generation(&device);
    uint32_t first = virtio_config32(&device, 0), second = virtio_config32(&device, 4);
    uint32_t after = virtio_config_generation(&device);
    reads++;
    torn += before == after && first != second;
    seen += before != last;
    last = before;
  }
  print("reads=%u\ngenerations=%u\ntorn=%u\n", reads, seen, torn);
  return torn == 0;
}

/* ---- console ---- */

static void tick(void) {
  uint64_t interval_ns = argument_number("interval_ms", 100) * 1000000;
  uint64_t count = argument_number("ops", 0);
  uint64_t next = clock_ns();
  for (uint64_t n = 0; (count == 0 || n < count) && !power_button_pressed(); n++) {
    print("tick=%u\n", n);
    next += interval_ns;
    sleep_until_ns(next);
  }
}

/* Numbered lines of 64 bytes, probe.bytes in all. */
static void stream(void) {
  uint64_t lines = argument_number("bytes", 65536) / 64;
  for (uint64_t n = 0; n < lines; n++) {
    char text[65] = "line=00000000000000000000 ......................................";
    uint64_t rest = n;
    for (unsigned digit = 24; rest != 0; rest /= 10) text[digit--] = (char)('0' + rest % 10);
    text[63] = 0;
    print("%s\n", (const char *)text);
  }
}

static void hello(void) {
  print("command_line=%s\nmemory_kib=%u\nrsdp=0x%x\nclock_ns=%u\n", boot_command_line(), boot_memory_kib(),
        boot_rsdp(), clock_ns());
  struct device_window window;
  for (unsigned i = 0; argument_device_window(i, &window); i++) {
    print("window.%u=base 0x%x size 0x%x irq %u device_id %u\n", (uint64_t)i, window.base, window.size,
          (uint64_t)window.irq, (uint64_t)virtio_device_id(&window));
  }
}

/* ---- several processors ---- */

static bool smp(void) {
  uint64_t others = argument_number("cpus", 2) - 1;
  uint64_t deadline = clock_ns() + argument_number("duration_ms", 5000) * 1000000;
  const volatile struct processors *processors =
      processors_start((uint32_t)others + 1, (uint16_t)argument_number("ops", 100));
  while (processors->done < others && clock_ns() < deadline) pause_cpu();
  print("cpus_online=%u\ncpus_done=%u\n", processors->online + 1ull, processors->done + 1ull);
  return processors->online == others && processors->done == others;
}

/* ---- beginning and end ---- */

static bool run(void) {
  if (hostile_is_asked()) return hostile();
  if (argument_is("run", "smp", "hello")) return smp();
  if (argument_is("run", "blk-info", "hello")) return blk_info();
  if (argument_is("run", "blk-read", "hello")) return blk_rate(DISK_IN);
  if (argument_is("run", "blk-write", "hello")) return blk_rate(DISK_OUT);
  if (argument_is("run", "blk-verify", "hello")) return blk_verify();
  if (argument_is("run", "blk-ranges", "hello")) return blk_ranges();
  if (argument_is("run", "net-info", "hello")) return net_info();
  if (argument_is("run", "net-verify", "hello")) return net_verify();
  if (argument_is("run", "net-rate", "hello")) return net_rate();
  if (argument_is("run", "net-serve", "hello")) return net_serve();
  if (argument_is("run", "net-hostile", "hello")) return net_hostile();
  if (argument_is("run", "rng-read", "hello")) return rng_read();
  if (argument_is("run", "reg-read", "hello")) return reg_read();
  if (argument_is("run", "config-read", "hello")) return config_read();
  if (argument_is("run", "balloon-follow", "hello")) return balloon_follow();
  if (argument_is("run", "balloon-report", "hello")) return balloon_report();
  if (argument_is("run", "balloon-hostile", "hello")) return balloon_hostile();
  if (argument_is("run", "memory-follow", "hello")) return memory_follow();
  if (argument_is("run", "memory-hostile", "hello")) return memory_hostile();
  if (argument_is("run", "vsock-echo", "hello")) return vsock_echo();
  if (argument_is("run", "vsock-sink", "hello")) return vsock_sink();
  if (argument_is("run", "vsock-source", "hello")) return vsock_source();
  if (argument_is("run", "vsock-agent", "hello")) return vsock_agent();
  if (argument_is("run", "vsock-verify", "hello")) return vsock_verify();
  if (argument_is("run", "vsock-send", "hello")) return vsock_send();
  if (argument_is("run", "vsock-ping", "hello")) return vsock_ping();
  if (argument_is("run", "vsock-hostile", "hello")) return vsock_hostile();
  if (argument_is("run", "console-echo", "hello")) return console_echo();
  if (argument_is("run", "console-send", "hello")) return console_send();
  if (argument_is("run", "console-hostile", "hello")) return console_hostile();
  if (argument_is("run", "hello", "hello")) {
    hello();
  } else if (argument_is("run", "tick", "hello")) {
    tick();
  } else if (argument_is("run", "stream", "hello")) {
    stream();
  } else if (argument_is("run", "spin", "hello")) {
    spin();
  } else if (argument_is("run", "idle", "hello")) {
    power_button_wait();
  } else {
    print("error=probe.run must be one of: %s hostile-...\n", PROGRAMS);
    return false;
  }
  return true;
}

/* PIIX4's, which Vireo's FADT gives too. */
#define PM1_CONTROL_PORT 0x604
#define DEBUG_EXIT_PORT 0x501

static _Noreturn void end(void) {
  if (argument_is("end", "reset", "poweroff")) reset_by_keyboard_controller();
  if (argument_is("end", "crash", "poweroff")) triple_fault();
  if (argument_is("end", "halt", "poweroff")) halt();
  if (argument_is("end", "spin", "poweroff")) spin();
  if (argument_is("end", "debug-exit", "poweroff")) debug_exit((uint16_t)argument_number("debug_exit_port", DEBUG_EXIT_PORT), 0);
  power_off((uint16_t)argument_number("pm1_port", PM1_CONTROL_PORT));
}

_Noreturn void main(void) {
  serial_init();
  print("probe: started\n");
  interrupts_init();
  if (argument_number("power_button", 1) != 0) power_button_enable();
  bool passed = run();
  print("probe: %s\n", passed ? "passed" : "failed");
  end();
}

#include "balloon.h"

#include "virtio.h"

/* 5.5.2, as Linux numbers them: what is not used leaves no gap. */
enum { INFLATE, DEFLATE, STATISTICS, REPORTING, QUEUES };

#define F_STATS_VQ (1ull << 1)
#define F_PAGE_REPORTING (1ull << 5)

/* 5.5.4. */
enum { NUM_PAGES = 0, ACTUAL = 4 };

/* 5.5.6.4. */
enum { STATISTIC_FREE = 4, STATISTIC_TOTAL = 5 };

#define PAGE 4096u
#define LIST_PAGES 256u
#define REPORT_BUFFERS 32u
#define POLL_NS 1000000u

/* Memory above the probe that it uses for nothing else. */
#define REGION 0x1000000ull

#define NO_SUCH_PAGE 0xffffffffu
#define PAGE_IN_THE_HOLE 0xd8000u
/* What a device looks at of one list, and one more: see what it does with the rest. */
#define OVERSIZED (16384u + 1)

static struct virtio_device device;
static uint32_t list[OVERSIZED];
static uint64_t pages;

static struct __attribute__((packed)) {
  uint16_t tag;
  uint64_t value;
} statistics[2];

static volatile uint64_t *word(uint64_t page) { return (volatile uint64_t *)(uintptr_t)(REGION + page * PAGE); }
static uint32_t frame(uint64_t page) { return (uint32_t)((REGION + page * PAGE) / PAGE); }

static bool start(void) {
  struct device_window window;
  const char *problem = virtio_find(VIRTIO_ID_BALLOON, 0, &window);
  if (problem == NULL) {
    problem = virtio_start(&device, &window, VIRTIO_F_EVENT_IDX | F_STATS_VQ | F_PAGE_REPORTING, QUEUES);
  }
  uint64_t room = boot_memory_end() > REGION ? (boot_memory_end() - REGION) / PAGE : 0;
  pages = argument_number("bytes", room * PAGE) / PAGE;
  if (problem == NULL && (pages == 0 || pages > room)) problem = "probe.bytes must be some pages above 16 MiB";
  if (problem != NULL) print("error=%s\n", problem);
  return problem == NULL;
}

/* Every page has its own number at both ends. */
static void touch(void) {
  for (uint64_t page = 0; page < pages; page++) {
    word(page)[0] = page + 1;
    word(page)[PAGE / 8 - 1] = ~page;
  }
}

static uint64_t count_not_zero(void) {
  uint64_t count = 0;
  for (uint64_t page = 0; page < pages; page++) count += word(page)[0] != 0 || word(page)[PAGE / 8 - 1] != 0;
  return count;
}

static uint64_t count_wrong(void) {
  uint64_t count = 0;
  for (uint64_t page = 0; page < pages; page++) count += word(page)[0] != page + 1 || word(page)[PAGE / 8 - 1] != ~page;
  return count;
}

static void submit(unsigned index, const void *buffer, uint64_t length) {
  struct virtqueue *queue = &device.queues[index];
  queue->descriptors[0] = (struct descriptor){.address = (uintptr_t)buffer, .length = (uint32_t)length};
  virtqueue_add(queue, 0);
  virtqueue_notify(queue);
  while (virtqueue_take_used(queue) < 0) pause_cpu();
}

/* Pages `from` to `to`, the last first, as an allocator gives them. */
static void move(unsigned queue, uint64_t from, uint64_t to) {
  while (to > from) {
    uint32_t count = 0;
    for (; to > from && count < LIST_PAGES; count++) list[count] = frame(--to);
    submit(queue, list, count * sizeof list[0]);
  }
}

static void give_statistics(uint64_t in_balloon) {
  statistics[0].tag = STATISTIC_FREE;
  statistics[0].value = (pages - in_balloon) * PAGE;
  statistics[1].tag = STATISTIC_TOTAL;
  statistics[1].value = boot_memory_kib() * 1024;
  struct virtqueue *queue = &device.queues[STATISTICS];
  queue->descriptors[0] = (struct descriptor){.address = (uintptr_t)statistics, .length = sizeof statistics};
  virtqueue_add(queue, 0);
  virtqueue_notify(queue);
}

bool balloon_follow(void) {
  if (!start()) return false;
  touch();
  print("pages=%u\nballoon=touched\n", pages);
  uint64_t in_balloon = 0, largest = 0, not_zero = 0;
  give_statistics(in_balloon);
  while (!(largest == pages && in_balloon == 0) && !power_button_pressed()) {
    if (virtqueue_take_used(&device.queues[STATISTICS]) >= 0) give_statistics(in_balloon);
    uint64_t target = virtio_config32(&device, NUM_PAGES);
    if (target > pages) target = pages;
    if (target == in_balloon) {
      sleep_until_ns(clock_ns() + POLL_NS);
      continue;
    }
    if (target > in_balloon) {
      move(INFLATE, in_balloon, target);
      largest = target > largest ? target : largest;
    } else {
      move(DEFLATE, target, in_balloon);
    }
    in_balloon = target;
    virtio_set_config32(&device, ACTUAL, (uint32_t)in_balloon);
    print("balloon=%u\n", in_balloon);
  }
  not_zero = count_not_zero();
  touch();
  uint64_t wrong = count_wrong();
  print("not_zero=%u\nwrong=%u\n", not_zero, wrong);
  return largest == pages && not_zero == 0 && wrong == 0;
}

bool balloon_report(void) {
  if (!start()) return false;
  touch();
  print("balloon=touched\n");
  struct virtqueue *queue = &device.queues[REPORTING];
  uint64_t piece = pages / REPORT_BUFFERS;
  for (uint16_t i = 0; i < REPORT_BUFFERS; i++) {
    bool last = i + 1 == REPORT_BUFFERS;
    uint64_t first = i * piece, count = last ? pages - first : piece;
    queue->descriptors[i] = (struct descriptor){.address = REGION + first * PAGE,
                                                .length = (uint32_t)(count * PAGE),
                                                .flags = (uint16_t)(DESCRIPTOR_WRITE | (last ? 0 : DESCRIPTOR_NEXT)),
                                                .next = (uint16_t)(i + 1)};
  }
  virtqueue_add(queue, 0);
  virtqueue_notify(queue);
  while (virtqueue_take_used(queue) < 0) pause_cpu();
  print("balloon=reported\n");
  uint64_t not_zero = count_not_zero();
  touch();
  print("not_zero=%u\nwrong=%u\n", not_zero, count_wrong());
  return not_zero == 0 && count_wrong() == 0;
}

/* A list of one page that is good, to see that the queue goes on. */
static bool serves(uint64_t page) {
  list[0] = frame(page);
  submit(INFLATE, list, sizeof list[0]);
  return word(page)[0] == 0;
}

bool balloon_hostile(void) {
  if (!start()) return false;
  touch();
  bool passed = true;
  list[0] = NO_SUCH_PAGE;
  list[1] = PAGE_IN_THE_HOLE;
  list[2] = (uint32_t)(boot_memory_end() / PAGE);
  list[3] = (uint32_t)(device.window.base / PAGE);
  submit(INFLATE, list, 4 * sizeof list[0]);
  passed &= serves(0);
  for (uint32_t i = 0; i < LIST_PAGES; i++) list[i] = frame(1);
  submit(INFLATE, list, LIST_PAGES * sizeof list[0]);
  passed &= word(1)[0] == 0 && serves(2);
  for (uint32_t odd = 1; odd < 8; odd += 2) submit(INFLATE, list, odd);
  submit(DEFLATE, list, 3);
  passed &= serves(3);
  submit(INFLATE, list, 0);
  submit(INFLATE, (const void *)(uintptr_t)(boot_memory_end() - 2), 4);
  passed &= serves(4);
  for (uint32_t i = 0; i < OVERSIZED; i++) list[i] = frame(5);
  list[OVERSIZED - 1] = frame(6);
  submit(INFLATE, list, sizeof list);
  passed &= word(5)[0] == 0 && word(6)[0] == 7 && serves(7);
  struct virtqueue *reporting = &device.queues[REPORTING];
  reporting->descriptors[0] =
      (struct descriptor){.address = boot_memory_end() - PAGE, .length = 2 * PAGE, .flags = DESCRIPTOR_WRITE};
  virtqueue_add(reporting, 0);
  virtqueue_notify(reporting);
  while (virtqueue_take_used(reporting) < 0) pause_cpu();
  passed &= serves(8) && word(9)[0] == 10;
  print("in_turn=%s\n", passed ? "all" : "not all");
  return passed;
}

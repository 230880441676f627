// The one event loop: descriptors, times, and memory that is freed once nobody is at it any more.
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

// A descriptor that is looked at. It is part of what it belongs to.
struct watch {
  int fd;
  uint32_t events;
  void (*ready)(struct watch *watch, uint32_t events);
  bool is_registered, is_starved;
  struct watch *next_starved;
};

// Part of what it belongs to; all zeroes is one that is not set.
struct timer {
  uint64_t at_ns;
  void (*due)(struct timer *timer);
  struct timer *next, *previous;
  bool is_set;
};

#define OWNER(type, member, part) ((type *)((char *)(part) - offsetof(type, member)))

// False, with errno.
bool loop_open(void);

// Until loop_stop.
void loop_run(void);
void loop_stop(void);

// Looks at it for these events; for none, with 0, not even for its end. If the kernel has no memory for it, later.
void watch_for(struct watch *watch, uint32_t events);

// Closes the descriptor, if there is one, and forgets it.
void watch_close(struct watch *watch);

void timer_set(struct timer *timer, uint64_t delay_ms);
void timer_clear(struct timer *timer);

// The first member of what loop_free frees.
struct freeable {
  struct freeable *next;
};

// Frees it when all that has happened at once has been seen to: an event of it may be among that.
void loop_free(struct freeable *freeable);

uint64_t now_ns(void);

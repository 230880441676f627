#include "loop.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define EVENTS 64
#define STARVED_RETRY_MS 100

static int poll_fd;
static bool is_stopped;
static struct watch *starved;
static struct timer *first_timer, *last_timer;
static struct freeable *garbage;

bool loop_open(void) {
  poll_fd = epoll_create1(EPOLL_CLOEXEC);
  return poll_fd >= 0;
}

uint64_t now_ns(void) {
  struct timespec time;
  clock_gettime(CLOCK_BOOTTIME, &time);
  return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

// --- descriptors -------------------------------------------------------------------------------------

static void starve(struct watch *watch) {
  if (watch->is_starved) return;
  watch->is_starved = true;
  watch->next_starved = starved;
  starved = watch;
}

static void feed(struct watch *watch) {
  if (!watch->is_starved) return;
  struct watch **link = &starved;
  while (*link != watch) link = &(*link)->next_starved;
  *link = watch->next_starved;
  watch->is_starved = false;
}

void watch_for(struct watch *watch, uint32_t events) {
  if (watch->fd < 0 || (events == watch->events && (events == 0) == !watch->is_registered)) return;
  int operation = events == 0 ? EPOLL_CTL_DEL : watch->is_registered ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
  struct epoll_event event = {.events = events, .data.ptr = watch};
  watch->events = events;
  feed(watch);
  if (operation == EPOLL_CTL_DEL && !watch->is_registered) return;
  if (epoll_ctl(poll_fd, operation, watch->fd, &event) == 0) {
    watch->is_registered = events != 0;
  } else if (events != 0) {
    starve(watch);
  }
}

void watch_close(struct watch *watch) {
  if (watch->fd < 0) return;
  watch_for(watch, 0);
  close(watch->fd);
  watch->fd = -1;
}

static void retry_starved(void) {
  struct watch *watch = starved;
  while (watch) {
    struct watch *next = watch->next_starved;
    uint32_t events = watch->events;
    watch->events = 0;
    watch_for(watch, events);
    watch = next;
  }
}

// --- times -------------------------------------------------------------------------------------------

// Most are as long as those that were set before, and so belong at the end.
void timer_set(struct timer *timer, uint64_t delay_ms) {
  timer_clear(timer);
  timer->at_ns = now_ns() + delay_ms * 1000000;
  timer->is_set = true;
  timer->previous = last_timer;
  while (timer->previous && timer->previous->at_ns > timer->at_ns) timer->previous = timer->previous->previous;
  timer->next = timer->previous ? timer->previous->next : first_timer;
  *(timer->previous ? &timer->previous->next : &first_timer) = timer;
  *(timer->next ? &timer->next->previous : &last_timer) = timer;
}

void timer_clear(struct timer *timer) {
  if (!timer->is_set) return;
  timer->is_set = false;
  *(timer->previous ? &timer->previous->next : &first_timer) = timer->next;
  *(timer->next ? &timer->next->previous : &last_timer) = timer->previous;
}

static void run_timers(void) {
  while (first_timer && first_timer->at_ns <= now_ns()) {
    struct timer *timer = first_timer;
    timer_clear(timer);
    timer->due(timer);
  }
}

// In ms, rounded up: a time that has not come is not waited for in small steps.
static int patience(void) {
  if (!first_timer) return starved ? STARVED_RETRY_MS : -1;
  uint64_t now = now_ns();
  uint64_t left_ms = first_timer->at_ns > now ? (first_timer->at_ns - now + 999999) / 1000000 : 0;
  uint64_t most_ms = starved ? STARVED_RETRY_MS : 60000;
  return (int)(left_ms < most_ms ? left_ms : most_ms);
}

// --- memory ------------------------------------------------------------------------------------------

void loop_free(struct freeable *freeable) {
  freeable->next = garbage;
  garbage = freeable;
}

static void collect_garbage(void) {
  while (garbage) {
    struct freeable *first = garbage;
    garbage = first->next;
    free(first);
  }
}

// --- the loop ----------------------------------------------------------------------------------------

void loop_stop(void) {
  is_stopped = true;
}

void loop_run(void) {
  while (!is_stopped) {
    struct epoll_event events[EVENTS];
    int count = epoll_wait(poll_fd, events, EVENTS, patience());
    for (int i = 0; i < count; i++) {
      struct watch *watch = events[i].data.ptr;
      if (watch->fd >= 0 && watch->is_registered) watch->ready(watch, events[i].events);
    }
    run_timers();
    retry_starved();
    collect_garbage();
  }
}

// The guest's agent: does for the node what vireo.agent.v1 says, in any guest whose root has it started, or as its init.
//
//   vireo-agent [--listen vsock:PORT | unix:PATH]     vsock:52 without; the socket is its owner's alone
//   vireo-agent --version
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "connection.h"
#include "init.h"
#include "loop.h"
#include "process.h"

#define ADDRESS "vsock:52"
#define GRACE_MS 5000

static struct watch signals;

static void take_signal(struct watch *watch, uint32_t events) {
  (void)events;
  struct signalfd_siginfo signal;
  if (read(watch->fd, &signal, sizeof signal) != sizeof signal) return;
  if (signal.ssi_signo == SIGCHLD) {
    processes_reap();
  } else if (is_init()) {
    init_shut_down(GRACE_MS);
  } else {
    loop_stop();
  }
}

static bool watch_signals(void) {
  sigset_t taken;
  sigemptyset(&taken);
  sigaddset(&taken, SIGCHLD);
  sigaddset(&taken, SIGTERM);
  sigaddset(&taken, SIGINT);
  signals = (struct watch){.fd = signalfd(-1, &taken, SFD_NONBLOCK | SFD_CLOEXEC), .ready = take_signal};
  watch_for(&signals, EPOLLIN);
  return signals.fd >= 0;
}

static void fail(const char *what) {
  const char *reason = errno ? strerror(errno) : "no such address; write vsock:PORT or unix:PATH";
  if (is_init()) init_give_up("%s: %s: does the microVM have a vsock, and the initramfs its driver?", what, reason);
  fprintf(stderr, "vireo-agent: %s: %s\n", what, reason);
  exit(1);
}

static void usage(void) {
  fputs("vireo-agent [--listen vsock:PORT | unix:PATH]\nvireo-agent --version\n", stderr);
  exit(2);
}

static const char *address_of(int count, char **words) {
  if (count == 1 || is_init()) return ADDRESS;
  if (count == 2 && !strcmp(words[1], "--version")) {
    puts("vireo-agent " VERSION);
    exit(0);
  }
  if (count != 3 || strcmp(words[1], "--listen")) usage();
  return words[2];
}

int main(int count, char **words) {
  const char *address = address_of(count, words);
  // What whoever started it left open is no business of its children.
  syscall(SYS_close_range, STDERR_FILENO + 1, ~0u, 0);
  block_signals();
  raise_file_limit();
  if (is_init()) init_boot();
  if (!loop_open() || !watch_signals()) fail("the event loop");
  if (!serve(address)) fail(address);
  if (is_init()) init_watch_power_button();
  fputs("vireo-agent: ready\n", stderr);
  loop_run();
  serve_no_more();
  return 0;
}

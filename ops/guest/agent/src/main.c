// The guest's agent: does for the node what vireo.agent.v1 says, in any guest whose root has it started, or as its init.
//
//   vireo-agent [--listen vsock:PORT | unix:PATH]     vsock:52 without; the socket is its owner's alone
//               [--commands-in DIRECTORY]             of a control group (version 2), which may have limits
//               [--metadata IPV4:PORT PEER]           carries connections to this address to vsock:CID:PORT or unix:PATH
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
#include "relay.h"

#define ADDRESS "vsock:52"
// The node's side of it is told in agent.proto.
#define METADATA_ADDRESS "169.254.169.254:80"
#define METADATA_PEER "vsock:2:169"
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
  const char *reason = errno ? strerror(errno) : "no such address; see vireo-agent --help";
  if (is_init()) init_give_up("%s: %s: does the microVM have a vsock, and the initramfs its driver?", what, reason);
  fprintf(stderr, "vireo-agent: %s: %s\n", what, reason);
  exit(1);
}

static void usage(void) {
  fputs("vireo-agent [--listen vsock:PORT | unix:PATH] [--commands-in DIRECTORY]\n"
        "            [--metadata IPV4:PORT vsock:CID:PORT | unix:PATH]\nvireo-agent --version\n",
        stderr);
  exit(2);
}

static struct options {
  const char *address, *group, *metadata_address, *metadata_peer;
} options = {.address = ADDRESS};

static void read_options(int count, char **words) {
  if (count == 2 && !strcmp(words[1], "--version")) {
    puts("vireo-agent " VERSION);
    exit(0);
  }
  for (int i = 1; i < count;) {
    if (i + 1 < count && !strcmp(words[i], "--listen")) {
      options.address = words[i + 1];
      i += 2;
    } else if (i + 1 < count && !strcmp(words[i], "--commands-in")) {
      options.group = words[i + 1];
      i += 2;
    } else if (i + 2 < count && !strcmp(words[i], "--metadata")) {
      options.metadata_address = words[i + 1];
      options.metadata_peer = words[i + 2];
      i += 3;
    } else {
      usage();
    }
  }
}

// Of init what the kernel says counts: what it does not know of its command line, it hands to init.
static void read_kernel_options(void) {
  if (!init_has_metadata()) return;
  options.metadata_address = METADATA_ADDRESS;
  options.metadata_peer = METADATA_PEER;
}

// A guest without its metadata is one all the same, but whoever asked for it with an option is told.
static void serve_metadata(void) {
  if (!options.metadata_address || relay_serve(options.metadata_address, options.metadata_peer)) return;
  if (!is_init()) fail(options.metadata_address);
  fprintf(stderr, "vireo-agent: no metadata service: %s\n", strerror(errno));
}

int main(int count, char **words) {
  if (!is_init()) read_options(count, words);
  // What whoever started it left open is no business of its children.
  syscall(SYS_close_range, STDERR_FILENO + 1, ~0u, 0);
  block_signals();
  raise_file_limit();
  if (is_init()) {
    init_boot();
    read_kernel_options();
  }
  if (options.group && !processes_use_group(options.group)) fail(options.group);
  if (!loop_open() || !watch_signals()) fail("the event loop");
  if (!serve(options.address)) fail(options.address);
  serve_metadata();
  if (is_init()) init_watch_power_button();
  fputs("vireo-agent: ready\n", stderr);
  loop_run();
  serve_no_more();
  relay_serve_no_more();
  return 0;
}

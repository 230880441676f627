#include "conversations.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include <linux/random.h>

#include "init.h"
#include "process.h"

#define MAX_ENTROPY 512

static void answer_status(struct connection *connection) {
  struct message message = {0};
  put_text(&message, Status_version, VERSION);
  put_number(&message, Status_processes, process_count());
  put_number(&message, Status_uptime_ns, now_ns());
  connection_send(connection, AgentMessage_status, &message);
  connection_finish(connection);
}

static void answer_done(struct connection *connection) {
  connection_send_empty(connection, AgentMessage_done);
  connection_finish(connection);
}

static bool set_clock(uint64_t realtime_ns) {
  struct timespec time = {(time_t)(realtime_ns / 1000000000), (long)(realtime_ns % 1000000000)};
  return clock_settime(CLOCK_REALTIME, &time) == 0;
}

static bool add_entropy(struct slice entropy) {
  struct {
    int bits, size;
    uint8_t bytes[MAX_ENTROPY];
  } pool = {.bits = (int)entropy.length * 8, .size = (int)entropy.length};
  memcpy(pool.bytes, entropy.bytes, entropy.length);
  int random = open("/dev/urandom", O_WRONLY | O_CLOEXEC);
  // Mixed into what is handed out from now on, not only some minutes later.
  bool is_added = random >= 0 && ioctl(random, RNDADDENTROPY, &pool) == 0 && ioctl(random, RNDRESEEDCRNG) == 0;
  int error = errno;
  if (random >= 0) close(random);
  errno = error;
  return is_added;
}

static void seed(struct connection *connection, const struct seed_request *request) {
  if (request->entropy.length > MAX_ENTROPY) {
    connection_fail(connection, failure_of(Failure_INVALID, "entropy: more than %d bytes", MAX_ENTROPY));
  } else if (request->entropy.length > 0 && !add_entropy(request->entropy)) {
    connection_fail(connection, failure_of_errno(errno, "the kernel's random numbers"));
  } else if (request->realtime_ns != 0 && !set_clock(request->realtime_ns)) {
    connection_fail(connection, failure_of_errno(errno, "the clock"));
  } else {
    answer_done(connection);
  }
}

static uint32_t shutdown_grace_ms;

static void begin_shutdown(struct connection *connection) {
  (void)connection;
  init_shut_down(shutdown_grace_ms);
}

static const struct verb SHUTDOWN = {.told = begin_shutdown};

static void shut_down(struct connection *connection, uint32_t grace_ms) {
  if (!is_init()) {
    connection_fail(connection, failure_of(Failure_UNSUPPORTED, "this agent is not the guest's init, which must power it off"));
    return;
  }
  shutdown_grace_ms = grace_ms;
  connection->verb = &SHUTDOWN;
  answer_done(connection);
}

void begin_conversation(struct connection *connection, const struct host_message *first) {
  switch (first->type) {
    case HostMessage_status: answer_status(connection); break;
    case HostMessage_exec: exec_begin(connection, &first->exec); break;
    case HostMessage_read: read_begin(connection, first->read_path); break;
    case HostMessage_write: write_begin(connection, &first->write); break;
    case HostMessage_connect: connect_begin(connection, first->port); break;
    case HostMessage_seed: seed(connection, &first->seed); break;
    case HostMessage_shutdown: shut_down(connection, first->grace_ms); break;
    case 0: connection_fail(connection, failure_of(Failure_UNSUPPORTED, "agent %s does not know that request", VERSION)); break;
    default: connection_fail(connection, failure_of(Failure_INVALID, "message %u cannot be the first", first->type)); break;
  }
}

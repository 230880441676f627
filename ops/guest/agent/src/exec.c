// Exec: a process with its streams. What it writes is read only as fast as the node takes it, and what the node sends only as
// fast as the process takes it.
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "command.h"
#include "conversations.h"
#include "process.h"

#define MAX_STRINGS (128 * 1024)
#define MAX_KEY 64
#define MAX_KEYS 16
// How long, after a command's end, others may still write to its output.
#define GRACE_MS 250

struct job;

struct output {
  struct watch watch;
  struct job *job;
  // AgentMessage_stdout or _stderr.
  uint32_t field;
  // What was in it when the grace was over: it is sent, and no more.
  size_t left;
};

struct job {
  struct freeable freeable;
  struct process process;
  // NULL: nobody listens.
  struct connection *connection;
  struct watch report, input;
  struct output outputs[2];
  struct timer grace;
  // Of the connection's message that is held, what the input has not taken yet.
  struct slice typed;
  int status;
  bool has_terminal, has_input, input_has_ended, is_detached, is_started, has_failed, has_ended, is_grace_over, is_discarded;
  char key[MAX_KEY + 1];
  struct job *next_with_key;
};

static struct job *jobs_with_key;
static unsigned key_count;

// --- keys --------------------------------------------------------------------------------------------

static struct job *find_key(const char *key) {
  struct job *job = jobs_with_key;
  while (job && strcmp(job->key, key)) job = job->next_with_key;
  return job;
}

static void keep_key(struct job *job) {
  job->next_with_key = jobs_with_key;
  jobs_with_key = job;
  key_count++;
}

static void give_up_key(struct job *job) {
  if (!job->key[0]) return;
  struct job **link = &jobs_with_key;
  while (*link != job) link = &(*link)->next_with_key;
  *link = job->next_with_key;
  job->key[0] = 0;
  key_count--;
}

// --- the end -----------------------------------------------------------------------------------------

static void close_streams(struct job *job) {
  watch_close(&job->report);
  watch_close(&job->input);
  watch_close(&job->outputs[0].watch);
  watch_close(&job->outputs[1].watch);
}

// Unless somebody still has to be told, or it still has to end.
static void discard_when_over(struct job *job) {
  bool is_awaited = job->connection || job->key[0];
  if (!job->has_ended || is_awaited || job->is_discarded) return;
  job->is_discarded = true;
  timer_clear(&job->grace);
  close_streams(job);
  loop_free(&job->freeable);
}

static bool is_told_all(const struct job *job) {
  return job->is_started && job->has_ended && job->outputs[0].watch.fd < 0 && job->outputs[1].watch.fd < 0;
}

static void stand_still(struct job *job) {
  job->typed = (struct slice){0};
  watch_for(&job->input, 0);
  watch_for(&job->outputs[0].watch, 0);
  watch_for(&job->outputs[1].watch, 0);
}

static void tell_end(struct job *job) {
  if (!job->connection || !is_told_all(job)) return;
  struct message message = {0};
  if (WIFSIGNALED(job->status)) {
    put_number(&message, Exited_signal, (uint64_t)WTERMSIG(job->status));
  } else {
    put_number(&message, Exited_status, (uint64_t)WEXITSTATUS(job->status));
  }
  connection_send(job->connection, AgentMessage_exited, &message);
  if (!job->connection) return;
  // What its input has not taken is the connection's, and is passed over with what still comes.
  stand_still(job);
  connection_finish(job->connection);
}

static void kill_command(struct job *job) {
  if (!job->has_ended) session_kill(job->process.pid);
  close_streams(job);
}

static void be_gone(struct connection *connection) {
  struct job *job = connection->conversation;
  job->connection = NULL;
  stand_still(job);
  if (!job->key[0] && !job->is_detached) kill_command(job);
  discard_when_over(job);
}

// --- output ------------------------------------------------------------------------------------------

static void listen_to_outputs(struct job *job) {
  bool has_room = job->connection && job->is_started && connection_has_room(job->connection);
  for (int i = 0; i < 2; i++) watch_for(&job->outputs[i].watch, has_room ? EPOLLIN : 0);
}

static bool is_silent(const struct output *output) {
  return output->job->is_grace_over && output->left == 0;
}

static void read_output(struct watch *watch, uint32_t events) {
  static uint8_t chunk[MAX_CHUNK];
  (void)events;
  struct output *output = OWNER(struct output, watch, watch);
  struct job *job = output->job;
  if (!job->connection || !connection_has_room(job->connection)) {
    listen_to_outputs(job);
    return;
  }
  ssize_t length = read(watch->fd, chunk, sizeof chunk);
  if (length < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (length > 0) {
    output->left -= output->left < (size_t)length ? output->left : (size_t)length;
    connection_data(job->connection, output->field, chunk, (size_t)length);
  }
  // A terminal says EIO once nobody has it open.
  if (length <= 0 || is_silent(output)) watch_close(watch);
  if (!job->connection) return;
  listen_to_outputs(job);
  tell_end(job);
}

static void be_writable(struct connection *connection) {
  listen_to_outputs(connection->conversation);
}

static void end_grace(struct timer *timer) {
  struct job *job = OWNER(struct job, grace, timer);
  job->is_grace_over = true;
  for (int i = 0; i < 2; i++) {
    struct output *output = &job->outputs[i];
    int waiting = 0;
    if (output->watch.fd >= 0) ioctl(output->watch.fd, FIONREAD, &waiting);
    output->left = waiting > 0 ? (size_t)waiting : 0;
    if (is_silent(output)) watch_close(&output->watch);
  }
  tell_end(job);
}

static void be_reaped(struct process *process, int status) {
  struct job *job = OWNER(struct job, process, process);
  job->has_ended = true;
  job->status = status;
  timer_set(&job->grace, GRACE_MS);
  tell_end(job);
  discard_when_over(job);
}

// --- input -------------------------------------------------------------------------------------------

static void end_input(struct job *job) {
  struct termios settings;
  if (job->has_terminal && job->input.fd >= 0 && tcgetattr(job->input.fd, &settings) == 0) {
    (void)!write(job->input.fd, &settings.c_cc[VEOF], 1);
  }
  watch_close(&job->input);
}

// As much as it takes now.
static void type(struct job *job) {
  while (job->typed.length > 0 && job->input.fd >= 0) {
    ssize_t taken = write(job->input.fd, job->typed.bytes, job->typed.length);
    if (taken < 0 && errno == EINTR) continue;
    if (taken < 0 && errno == EAGAIN) {
      watch_for(&job->input, EPOLLOUT);
      connection_hold(job->connection);
      return;
    }
    // It reads no more: nor does anybody else.
    if (taken < 0) watch_close(&job->input);
    if (taken > 0) job->typed = (struct slice){job->typed.bytes + taken, job->typed.length - (size_t)taken};
  }
  job->typed = (struct slice){0};
  watch_for(&job->input, 0);
}

static void take_input(struct watch *watch, uint32_t events) {
  (void)events;
  struct job *job = OWNER(struct job, input, watch);
  type(job);
  if (job->typed.length == 0 && job->connection) connection_release(job->connection);
}

// --- messages after the first ------------------------------------------------------------------------

static bool is_size(struct terminal_size size) {
  return size.columns >= 1 && size.columns <= UINT16_MAX && size.rows >= 1 && size.rows <= UINT16_MAX;
}

static void set_size(int terminal, struct terminal_size size) {
  struct winsize window = {.ws_col = (unsigned short)size.columns, .ws_row = (unsigned short)size.rows};
  ioctl(terminal, TIOCSWINSZ, &window);
}

// To whoever has taken it over, that its input has ended is not known.
static bool is_late(const struct job *job) {
  return job->input_has_ended && job->key[0];
}

static bool take_message(struct connection *connection, const struct host_message *message) {
  struct job *job = connection->conversation;
  switch (message->type) {
    case HostMessage_data:
      if (!job->has_input) return is_late(job);
      job->typed = message->data;
      type(job);
      return true;
    case HostMessage_end:
      if (!job->has_input) return is_late(job);
      job->has_input = false;
      job->input_has_ended = true;
      end_input(job);
      return true;
    case HostMessage_resize:
      if (!job->has_terminal || !is_size(message->resize)) return false;
      if (job->outputs[0].watch.fd >= 0) set_size(job->outputs[0].watch.fd, message->resize);
      return true;
    case HostMessage_signal:
      if (message->signal < 1 || message->signal > (uint32_t)SIGRTMAX) return false;
      // Once it is reaped, its number may be another's.
      if (!job->has_ended) kill(-job->process.pid, (int)message->signal);
      return true;
    default: return false;
  }
}

static const struct verb EXEC = {.message = take_message, .writable = be_writable, .told = be_gone, .gone = be_gone};

// --- the start ---------------------------------------------------------------------------------------

static void tell_start(struct job *job) {
  struct message message = {0};
  put_number(&message, Started_pid, (uint64_t)job->process.pid);
  connection_send(job->connection, AgentMessage_started, &message);
  if (job->connection && job->is_detached) connection_finish(job->connection);
  if (!job->connection) return;
  connection_release(job->connection);
  if (!job->connection) return;
  listen_to_outputs(job);
  tell_end(job);
}

// The report is closed by a successful exec.
static void take_report(struct watch *watch, uint32_t events) {
  (void)events;
  struct job *job = OWNER(struct job, report, watch);
  struct failure failure;
  ssize_t length = read(watch->fd, &failure, sizeof failure);
  if (length < 0 && (errno == EAGAIN || errno == EINTR)) return;
  watch_close(watch);
  job->has_failed = length == sizeof failure;
  job->is_started = !job->has_failed;
  // There is nothing that could go on.
  if (job->has_failed) give_up_key(job);
  if (job->connection && job->has_failed) {
    connection_fail(job->connection, failure);
  } else if (job->connection) {
    tell_start(job);
  } else {
    discard_when_over(job);
  }
}

// What the two sides of a command's streams are; -1: none.
struct streams {
  int ours[3], theirs[3], report[2];
};

static int null_device = -1;

static void set_nonblocking(int fd) {
  if (fd >= 0) fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

static bool open_pipe(int *reader, int *writer) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC)) return false;
  *reader = ends[0];
  *writer = ends[1];
  return true;
}

static bool open_terminal(struct streams *streams, struct terminal_size size) {
  int terminal = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
  int unlocked = 0;
  streams->ours[1] = terminal;
  if (terminal < 0 || ioctl(terminal, TIOCSPTLCK, &unlocked)) return false;
  set_size(terminal, size);
  streams->theirs[0] = ioctl(terminal, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
  streams->ours[0] = fcntl(terminal, F_DUPFD_CLOEXEC, 3);
  return streams->theirs[0] >= 0 && streams->ours[0] >= 0;
}

static bool open_pipes(struct streams *streams, const struct exec_request *request) {
  if (request->stdin && !open_pipe(&streams->theirs[0], &streams->ours[0])) return false;
  if (request->detach) return true;
  return open_pipe(&streams->ours[1], &streams->theirs[1]) && open_pipe(&streams->ours[2], &streams->theirs[2]);
}

static bool open_streams(struct streams *streams, const struct exec_request *request) {
  *streams = (struct streams){{-1, -1, -1}, {-1, -1, -1}, {-1, -1}};
  if (null_device < 0) null_device = open("/dev/null", O_RDWR | O_CLOEXEC);
  if (null_device < 0 || !open_pipe(&streams->report[0], &streams->report[1])) return false;
  bool is_open = request->has_terminal ? open_terminal(streams, request->terminal) : open_pipes(streams, request);
  set_nonblocking(streams->report[0]);
  for (int i = 0; i < 3; i++) set_nonblocking(streams->ours[i]);
  return is_open;
}

static void close_all(const int *descriptors, size_t count) {
  for (size_t i = 0; i < count; i++) {
    if (descriptors[i] >= 0) close(descriptors[i]);
  }
}

// Arguments and environment, and the texts of a request, as the kernel takes them.
struct texts {
  char **arguments, **environment;
  char working_directory[4096], user[256];
};

static bool copy_texts(const struct exec_request *request, struct texts *texts) {
  size_t count = request->arguments.count + request->environment.count + 2;
  char **vector = calloc(1, count * sizeof *vector + request->arguments.bytes + request->environment.bytes);
  if (!vector) return false;
  char *bytes = (char *)(vector + count);
  texts->arguments = vector;
  texts->environment = vector + request->arguments.count + 1;
  strings_copy(&request->arguments, ExecRequest_arguments, texts->arguments, bytes);
  strings_copy(&request->environment, ExecRequest_environment, texts->environment, bytes + request->arguments.bytes);
  return true;
}

static void start(struct job *job, const struct streams *streams, const struct texts *texts) {
  int in = streams->theirs[0] >= 0 ? streams->theirs[0] : null_device;
  int out = job->has_terminal ? in : streams->theirs[1] >= 0 ? streams->theirs[1] : null_device;
  int error = job->has_terminal ? in : streams->theirs[2] >= 0 ? streams->theirs[2] : null_device;
  struct command command = {
    .arguments = texts->arguments,
    .environment = texts->environment,
    .working_directory = texts->working_directory,
    .user = texts->user,
    .streams = {in, out, error},
    .has_terminal = job->has_terminal,
    .is_bound_to_agent = !job->is_detached && !job->key[0],
    .report = streams->report[1],
  };
  if (process_fork_command(&job->process) == 0) command_run(&command);
}

static struct job *new_job(const struct exec_request *request, const struct streams *streams) {
  struct job *job = calloc(1, sizeof *job);
  if (!job) return NULL;
  job->process.ended = be_reaped;
  job->grace.due = end_grace;
  job->report = (struct watch){.fd = streams->report[0], .ready = take_report};
  job->input = (struct watch){.fd = streams->ours[0], .ready = take_input};
  job->outputs[0] = (struct output){{.fd = streams->ours[1], .ready = read_output}, job, AgentMessage_stdout, 0};
  job->outputs[1] = (struct output){{.fd = streams->ours[2], .ready = read_output}, job, AgentMessage_stderr, 0};
  job->has_terminal = request->has_terminal;
  job->has_input = request->stdin;
  job->is_detached = request->detach;
  slice_copy(request->key, job->key, sizeof job->key);
  return job;
}

// The job, or NULL with errno.
static struct job *begin_job(const struct exec_request *request, struct texts *texts) {
  struct streams streams;
  bool is_open = open_streams(&streams, request);
  struct job *job = is_open && copy_texts(request, texts) ? new_job(request, &streams) : NULL;
  if (job) start(job, &streams, texts);
  int error = errno;
  free(texts->arguments);
  close_all(streams.theirs, 3);
  close_all(streams.report + 1, 1);
  if (job && job->process.pid > 0) return job;
  close_all(streams.ours, 3);
  close_all(streams.report, 1);
  free(job);
  errno = error;
  return NULL;
}

static void attach(struct job *job, struct connection *connection) {
  job->connection = connection;
  connection->verb = &EXEC;
  connection->conversation = job;
}

// The newer connection has it.
static void take_over(struct job *job, struct connection *connection, const struct exec_request *request) {
  struct connection *older = job->connection;
  if (older) {
    stand_still(job);
    older->verb = NULL;
    connection_end(older);
  }
  attach(job, connection);
  if (request->has_terminal && job->has_terminal && job->outputs[0].watch.fd >= 0) {
    set_size(job->outputs[0].watch.fd, request->terminal);
  }
  if (job->is_started) {
    tell_start(job);
  } else {
    connection_hold(connection);
  }
}

// --- the request -------------------------------------------------------------------------------------

struct mistake {
  const char *field, *what;
};

// Why a request is wrong; `what` is NULL if it is not.
static struct mistake mistake_in(const struct exec_request *request, struct texts *texts) {
  const struct slice *directory = &request->working_directory;
  if (request->arguments.count == 0) return (struct mistake){"arguments", "none"};
  if (request->arguments.bytes + request->environment.bytes > MAX_STRINGS) return (struct mistake){"arguments", "more than 128 KiB, with the environment"};
  if (!slice_copy(*directory, texts->working_directory, sizeof texts->working_directory)) return (struct mistake){"working_directory", "too long"};
  if (directory->length > 0 && directory->bytes[0] != '/') return (struct mistake){"working_directory", "not absolute"};
  if (!slice_copy(request->user, texts->user, sizeof texts->user)) return (struct mistake){"user", "too long"};
  if (request->has_terminal && !is_size(request->terminal)) return (struct mistake){"terminal", "columns and rows must be 1 to 65,535"};
  if (request->key.length > MAX_KEY) return (struct mistake){"key", "more than 64 bytes"};
  if (request->detach && request->key.length > 0) return (struct mistake){"key", "a detached command has none"};
  if (request->detach && (request->has_terminal || request->stdin)) return (struct mistake){"detach", "such a command has no terminal and no input"};
  return (struct mistake){0};
}

void exec_begin(struct connection *connection, const struct exec_request *request) {
  struct texts texts = {0};
  struct mistake mistake = mistake_in(request, &texts);
  if (mistake.what) {
    connection_fail(connection, failure_in(mistake.field, failure_of(Failure_INVALID, "%s", mistake.what)));
    return;
  }
  char key[MAX_KEY + 1];
  slice_copy(request->key, key, sizeof key);
  struct job *job = *key ? find_key(key) : NULL;
  if (job) {
    take_over(job, connection, request);
    return;
  }
  if (*key && key_count == MAX_KEYS) {
    connection_fail(connection, failure_of(Failure_EXHAUSTED, "key: there are %d already", MAX_KEYS));
    return;
  }
  job = begin_job(request, &texts);
  if (!job) {
    connection_fail(connection, failure_of_errno(errno, "no new process: the guest, or its limit of processes, has no room"));
    return;
  }
  if (*key) keep_key(job);
  attach(job, connection);
  // Signals and input are for a process that has begun.
  connection_hold(connection);
  watch_for(&job->report, EPOLLIN);
}

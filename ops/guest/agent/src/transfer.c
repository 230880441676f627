#include "transfer.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "process.h"

#define LINGER_MS 10000
#define ROOM (MAX_FRAME + 16)

struct helper {
  struct freeable freeable;
  struct process process;
};

static void forget_helper(struct process *process, int status) {
  (void)status;
  loop_free(&OWNER(struct helper, process, process)->freeable);
}

static _Noreturn void run_alone(struct connection *connection, const char *path,
                                void (*run)(struct transfer *, const char *, bool), bool flag) {
  struct buffer *input = &connection->input;
  size_t begin = input->begin + connection->handled;
  struct transfer transfer = {.input = malloc(ROOM), .end = input->end - begin};
  // Nobody reads what is written to a connection that has ended.
  signal(SIGPIPE, SIG_IGN);
  transfer.socket = connection_keep_alone(connection);
  if (!transfer.input) transfer_fail_errno(&transfer, "no memory for ", path);
  memcpy(transfer.input, input->bytes + begin, transfer.end);
  run(&transfer, path, flag);
  _exit(0);
}

void transfer_begin(struct connection *connection, struct slice path, void (*run)(struct transfer *, const char *, bool),
                    bool flag) {
  char text[PATH_MAX];
  if (!slice_copy(path, text, sizeof text) || text[0] != '/') {
    connection_fail(connection, failure_of(Failure_INVALID, "path: not absolute, or too long"));
    return;
  }
  struct helper *helper = calloc(1, sizeof *helper);
  pid_t pid = -1;
  if (helper) {
    helper->process.ended = forget_helper;
    pid = process_fork(&helper->process);
  }
  if (pid == 0) run_alone(connection, text, run, flag);
  if (pid > 0) {
    connection_end(connection);
  } else {
    connection_fail(connection, failure_of_errno(errno, "no new process"));
    free(helper);
  }
}

// --- messages ----------------------------------------------------------------------------------------

static _Noreturn void leave(const struct transfer *transfer) {
  if (transfer->undo) transfer->undo();
  _exit(0);
}

static void send_all(const struct transfer *transfer, const uint8_t *bytes, size_t length) {
  while (length > 0) {
    ssize_t sent = send(transfer->socket, bytes, length, MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent <= 0) leave(transfer);
    bytes += sent;
    length -= (size_t)sent;
  }
}

static void receive_more(struct transfer *transfer) {
  memmove(transfer->input, transfer->input + transfer->begin, transfer->end - transfer->begin);
  transfer->end -= transfer->begin;
  transfer->begin = 0;
  ssize_t length;
  do {
    length = recv(transfer->socket, transfer->input + transfer->end, ROOM - transfer->end, 0);
  } while (length < 0 && errno == EINTR);
  if (length <= 0) leave(transfer);
  transfer->end += (size_t)length;
}

void transfer_receive(struct transfer *transfer, struct host_message *message) {
  for (;;) {
    struct slice frame, input = {transfer->input + transfer->begin, transfer->end - transfer->begin};
    switch (frame_at(input, &frame)) {
      case FRAME_MALFORMED:
        transfer_fail(transfer, failure_of(Failure_INVALID, "a message of more than %d bytes", MAX_FRAME));
      case FRAME_PARTIAL: receive_more(transfer); break;
      case FRAME_WHOLE:
        transfer->begin += (size_t)(frame.bytes + frame.length - input.bytes);
        if (host_message_decode(frame, message)) return;
        transfer_fail(transfer, failure_of(Failure_INVALID, "a malformed message"));
    }
  }
}

void transfer_send(struct transfer *transfer, uint32_t field, const struct message *message) {
  uint8_t frame[MAX_FRAME_HEADER + sizeof message->bytes];
  size_t header = frame_header(frame, field, message->length);
  memcpy(frame + header, message->bytes, message->length);
  send_all(transfer, frame, header + message->length);
}

ssize_t transfer_send_file(struct transfer *transfer, int file, size_t length) {
  static uint8_t frame[MAX_FRAME_HEADER + MAX_DATA];
  uint8_t *data = frame + MAX_FRAME_HEADER, header[MAX_FRAME_HEADER];
  ssize_t got;
  do {
    got = read(file, data, length < MAX_DATA ? length : MAX_DATA);
  } while (got < 0 && errno == EINTR);
  if (got <= 0) return got;
  size_t header_length = frame_header(header, AgentMessage_data, (size_t)got);
  memcpy(data - header_length, header, header_length);
  send_all(transfer, data - header_length, header_length + (size_t)got);
  return got;
}

// --- the end -----------------------------------------------------------------------------------------

// Closed at once, what was said last could be lost with what nobody has read.
static _Noreturn void linger(const struct transfer *transfer) {
  static uint8_t nobody[64 * 1024];
  uint64_t end_ns = now_ns() + (uint64_t)LINGER_MS * 1000000;
  struct pollfd socket = {.fd = transfer->socket, .events = POLLIN};
  shutdown(transfer->socket, SHUT_WR);
  while (now_ns() < end_ns && poll(&socket, 1, LINGER_MS) > 0 && recv(socket.fd, nobody, sizeof nobody, 0) > 0) {
  }
  _exit(0);
}

void transfer_finish(struct transfer *transfer, uint32_t field) {
  transfer_send(transfer, field, &(struct message){0});
  linger(transfer);
}

void transfer_fail(struct transfer *transfer, struct failure failure) {
  struct message message = {0};
  failure_put(&failure, &message);
  if (transfer->undo) transfer->undo();
  transfer->undo = NULL;
  transfer_send(transfer, AgentMessage_failure, &message);
  linger(transfer);
}

void transfer_fail_errno(struct transfer *transfer, const char *what, const char *name) {
  transfer_fail(transfer, failure_of_errno(errno, "%s%s", what, name));
}

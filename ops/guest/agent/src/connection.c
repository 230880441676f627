#include "connection.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <linux/vm_sockets.h>

#include "conversations.h"

#define BACKLOG 256
#define ACCEPTED_AT_ONCE 64
#define ACCEPT_RETRY_MS 100
#define LINGER_MS 10000
#define LEAST_BUFFER 4096
#define OUTPUT_LIMIT (64 * 1024)
#define INPUT_LIMIT (MAX_FRAME + 16)
// Of all buffers together: the guest's memory is its owner's.
#define MAX_BUFFERED (64 * 1024 * 1024)

static size_t buffered;
static size_t connection_count;
static struct connection *connections;
static struct watch listener = {.fd = -1};
static struct timer accept_again;
static char socket_path[sizeof((struct sockaddr_un *)NULL)->sun_path];
// Is given up for a moment to tell somebody that there are no descriptors.
static int spare = -1;

size_t connections_open(void) { return connection_count; }

// --- buffers -----------------------------------------------------------------------------------------

static size_t pending(const struct buffer *buffer) {
  return buffer->end - buffer->begin;
}

static void compact(struct buffer *buffer) {
  if (buffer->begin == 0) return;
  memmove(buffer->bytes, buffer->bytes + buffer->begin, pending(buffer));
  buffer->end -= buffer->begin;
  buffer->begin = 0;
}

// False if there is no memory for so much more.
static bool reserve(struct buffer *buffer, size_t length) {
  if (buffer->capacity - buffer->end >= length) return true;
  compact(buffer);
  size_t capacity = buffer->capacity ? buffer->capacity : LEAST_BUFFER;
  while (capacity - buffer->end < length) capacity *= 2;
  if (capacity == buffer->capacity) return true;
  if (buffered - buffer->capacity + capacity > MAX_BUFFERED) return false;
  uint8_t *bytes = realloc(buffer->bytes, capacity);
  if (!bytes) return false;
  buffered += capacity - buffer->capacity;
  buffer->bytes = bytes;
  buffer->capacity = capacity;
  return true;
}

static void empty(struct buffer *buffer) {
  free(buffer->bytes);
  buffered -= buffer->capacity;
  *buffer = (struct buffer){0};
}

static void consume(struct buffer *buffer, size_t length) {
  buffer->begin += length;
  if (pending(buffer) == 0) buffer->begin = buffer->end = 0;
  // What a long frame needed is not kept by an idle connection.
  if (pending(buffer) == 0 && buffer->capacity > 2 * MAX_DATA) empty(buffer);
}

// --- output ------------------------------------------------------------------------------------------

static void look(struct connection *connection) {
  uint32_t events = EPOLLRDHUP;
  if (!connection->is_held) events |= EPOLLIN;
  if (pending(&connection->output) > 0) events |= EPOLLOUT;
  watch_for(&connection->socket, events);
}

static void linger(struct connection *connection) {
  const struct verb *verb = connection->verb;
  if (verb && verb->told) verb->told(connection);
  connection->verb = NULL;
  connection->conversation = NULL;
  connection->is_lingering = true;
  // Closed at once, what was said last could be lost with what nobody has read.
  shutdown(connection->socket.fd, SHUT_WR);
  timer_set(&connection->linger, LINGER_MS);
}

// False if the connection has ended of it.
static bool flush(struct connection *connection) {
  struct buffer *output = &connection->output;
  while (pending(output) > 0) {
    ssize_t sent = send(connection->socket.fd, output->bytes + output->begin, pending(output), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0 && (errno == EAGAIN || errno == ENOBUFS)) break;
    if (sent < 0) {
      connection_end(connection);
      return false;
    }
    consume(output, (size_t)sent);
  }
  if (connection->is_finishing && !connection->is_lingering && pending(output) == 0) linger(connection);
  look(connection);
  return true;
}

// Without memory for what it must say, a connection cannot go on.
static void append(struct connection *connection, uint32_t field, const uint8_t *bytes, size_t length) {
  if (connection->has_ended || connection->is_finishing) return;
  struct buffer *output = &connection->output;
  if (!reserve(output, MAX_FRAME_HEADER + length)) {
    connection_end(connection);
    return;
  }
  output->end += frame_header(output->bytes + output->end, field, length);
  if (length > 0) memcpy(output->bytes + output->end, bytes, length);
  output->end += length;
  flush(connection);
}

void connection_send(struct connection *connection, uint32_t field, const struct message *message) {
  append(connection, field, message->bytes, message->length);
}

void connection_send_empty(struct connection *connection, uint32_t field) {
  append(connection, field, NULL, 0);
}

bool connection_has_room(const struct connection *connection) {
  return pending(&connection->output) + MAX_CHUNK + MAX_FRAME_HEADER <= OUTPUT_LIMIT;
}

void connection_data(struct connection *connection, uint32_t field, const uint8_t *bytes, size_t length) {
  append(connection, field, bytes, length);
}

void connection_finish(struct connection *connection) {
  if (connection->has_ended || connection->is_finishing) return;
  connection->is_finishing = true;
  connection->is_held = false;
  flush(connection);
}

void connection_fail(struct connection *connection, struct failure failure) {
  if (connection->has_ended || connection->is_finishing) return;
  struct message message = {0};
  failure_put(&failure, &message);
  connection_send(connection, AgentMessage_failure, &message);
  connection_finish(connection);
}

// --- input -------------------------------------------------------------------------------------------

void connection_hold(struct connection *connection) {
  connection->is_held = true;
  look(connection);
}

static void handle(struct connection *connection, struct slice frame) {
  struct host_message message;
  if (!host_message_decode(frame, &message)) {
    connection_fail(connection, failure_of(Failure_INVALID, "a malformed message"));
  } else if (!connection->verb) {
    begin_conversation(connection, &message);
  } else if (!connection->verb->message || !connection->verb->message(connection, &message)) {
    connection_fail(connection, failure_of(Failure_INVALID, "message %u is out of turn", message.type));
  }
}

// The next message; false if there is none that is whole.
static bool next_frame(struct connection *connection, struct slice *frame) {
  struct buffer *buffer = &connection->input;
  consume(buffer, connection->handled);
  connection->handled = 0;
  struct slice input = {buffer->bytes + buffer->begin, pending(buffer)};
  switch (frame_at(input, frame)) {
    case FRAME_PARTIAL: return false;
    case FRAME_MALFORMED:
      connection_fail(connection, failure_of(Failure_INVALID, "a message of more than %d bytes", MAX_FRAME));
      return false;
    case FRAME_WHOLE: break;
  }
  connection->handled = (size_t)(frame->bytes + frame->length - input.bytes);
  return true;
}

static void handle_frames(struct connection *connection) {
  struct slice frame;
  connection->is_handling = true;
  while (!connection->is_held && !connection->is_finishing && !connection->has_ended && next_frame(connection, &frame)) {
    handle(connection, frame);
  }
  connection->is_handling = false;
}

void connection_release(struct connection *connection) {
  if (!connection->is_held || connection->has_ended) return;
  connection->is_held = false;
  look(connection);
  if (!connection->is_handling) handle_frames(connection);
}

// What comes after the last word is not read by anybody.
static void discard(struct connection *connection) {
  static uint8_t nobody[64 * 1024];
  connection->handled = 0;
  empty(&connection->input);
  ssize_t length = recv(connection->socket.fd, nobody, sizeof nobody, 0);
  if (length == 0 || (length < 0 && errno != EAGAIN && errno != EINTR)) connection_end(connection);
}

static void receive(struct connection *connection) {
  struct buffer *input = &connection->input;
  size_t most = INPUT_LIMIT - pending(input);
  // As much as it already has: who claims a long frame must send it before it costs memory.
  size_t length = pending(input) < LEAST_BUFFER ? LEAST_BUFFER : pending(input);
  if (length > most) length = most;
  if (!reserve(input, length)) {
    connection_fail(connection, failure_of(Failure_EXHAUSTED, "no memory for a message"));
    return;
  }
  size_t room = input->capacity - input->end;
  ssize_t received = recv(connection->socket.fd, input->bytes + input->end, room < most ? room : most, 0);
  if (received < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (received <= 0) {
    connection_end(connection);
    return;
  }
  input->end += (size_t)received;
  handle_frames(connection);
}

static void be_ready(struct watch *watch, uint32_t events) {
  struct connection *connection = OWNER(struct connection, socket, watch);
  if (events & EPOLLOUT) {
    if (!flush(connection)) return;
    if (connection->verb && connection->verb->writable && !connection->is_finishing && connection_has_room(connection)) {
      connection->verb->writable(connection);
    }
  }
  if (connection->has_ended) return;
  // Whoever is gone while he is made to wait is not waited for.
  bool is_gone = events & (EPOLLERR | EPOLLHUP) || (events & EPOLLRDHUP && connection->is_held);
  if (events & EPOLLIN && connection->is_finishing) {
    discard(connection);
  } else if (events & EPOLLIN && !connection->is_held) {
    receive(connection);
  } else if (is_gone) {
    connection_end(connection);
  }
}

static void linger_no_longer(struct timer *timer) {
  connection_end(OWNER(struct connection, linger, timer));
}

void connection_end(struct connection *connection) {
  if (connection->has_ended) return;
  connection->has_ended = true;
  watch_close(&connection->socket);
  timer_clear(&connection->linger);
  if (connection->verb && connection->verb->gone) connection->verb->gone(connection);
  empty(&connection->input);
  empty(&connection->output);
  *(connection->previous ? &connection->previous->next : &connections) = connection->next;
  if (connection->next) connection->next->previous = connection->previous;
  connection_count--;
  loop_free(&connection->freeable);
}

int connection_keep_alone(struct connection *connection) {
  enum { SOCKET = 3 };
  if (connection->socket.fd != SOCKET) dup2(connection->socket.fd, SOCKET);
  syscall(SYS_close_range, SOCKET + 1, ~0u, 0);
  fcntl(SOCKET, F_SETFL, fcntl(SOCKET, F_GETFL) & ~O_NONBLOCK);
  return SOCKET;
}

// --- the listener ------------------------------------------------------------------------------------

static void refuse(int socket) {
  struct failure failure = failure_of(Failure_EXHAUSTED, "too many connections, or no memory or descriptors for one more");
  struct message message = {0};
  failure_put(&failure, &message);
  uint8_t frame[MAX_FRAME_HEADER + sizeof failure + 8];
  size_t header = frame_header(frame, AgentMessage_failure, message.length);
  memcpy(frame + header, message.bytes, message.length);
  // There is room for it, and nobody to tell if there is not.
  (void)send(socket, frame, header + message.length, MSG_NOSIGNAL);
  close(socket);
}

static void begin_connection(int socket) {
  struct connection *connection = connection_count < MAX_CONNECTIONS ? calloc(1, sizeof *connection) : NULL;
  if (!connection) {
    refuse(socket);
    return;
  }
  connection->socket = (struct watch){.fd = socket, .ready = be_ready};
  connection->linger.due = linger_no_longer;
  connection->next = connections;
  if (connections) connections->previous = connection;
  connections = connection;
  connection_count++;
  look(connection);
}

// A guest's own processes can reach its vsock ports too, and so can guests of the guest: only the host may.
static bool is_of_host(int socket) {
  struct sockaddr_vm peer = {0};
  socklen_t length = sizeof peer;
  if (getpeername(socket, (struct sockaddr *)&peer, &length)) return false;
  return peer.svm_family != AF_VSOCK || peer.svm_cid == VMADDR_CID_HOST;
}

static int accept_one(void) {
  return accept4(listener.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
}

// With the one descriptor that was put by for this.
static void refuse_without_descriptors(void) {
  close(spare);
  int socket = accept_one();
  if (socket >= 0) refuse(socket);
  spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void accept_connections(struct watch *watch, uint32_t events) {
  (void)watch;
  (void)events;
  for (int i = 0; i < ACCEPTED_AT_ONCE; i++) {
    int socket = accept_one();
    if (socket >= 0 && is_of_host(socket)) {
      begin_connection(socket);
    } else if (socket >= 0) {
      close(socket);
    } else if (errno == EMFILE || errno == ENFILE) {
      refuse_without_descriptors();
    } else if (errno == EAGAIN) {
      return;
    } else if (errno != ECONNABORTED && errno != EINTR) {
      // No memory, most likely. Whoever waits goes on waiting.
      watch_for(&listener, 0);
      timer_set(&accept_again, ACCEPT_RETRY_MS);
      return;
    }
  }
}

static void look_for_connections(struct timer *timer) {
  (void)timer;
  watch_for(&listener, EPOLLIN);
}

static bool listen_at(const struct sockaddr *address, socklen_t length) {
  int socket_fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (socket_fd < 0) return false;
  if (bind(socket_fd, address, length) || listen(socket_fd, BACKLOG)) {
    int error = errno;
    close(socket_fd);
    errno = error;
    return false;
  }
  listener = (struct watch){.fd = socket_fd, .ready = accept_connections};
  accept_again.due = look_for_connections;
  spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
  watch_for(&listener, EPOLLIN);
  return true;
}

static bool serve_path(const char *path) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  if (strlen(path) >= sizeof address.sun_path) {
    errno = ENAMETOOLONG;
    return false;
  }
  strcpy(address.sun_path, path);
  // What an agent left behind that was killed.
  unlink(path);
  mode_t mask = umask(0177);
  bool is_listening = listen_at((struct sockaddr *)&address, sizeof address);
  umask(mask);
  if (is_listening) strcpy(socket_path, path);
  return is_listening;
}

static bool serve_vsock(const char *text) {
  char *end;
  unsigned long port = strtoul(text, &end, 10);
  errno = 0;
  if (end == text || *end || port >= UINT32_MAX) return false;
  struct sockaddr_vm address = {.svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_ANY, .svm_port = (unsigned)port};
  return listen_at((struct sockaddr *)&address, sizeof address);
}

bool serve(const char *address) {
  errno = 0;
  if (!strncmp(address, "unix:", 5)) return serve_path(address + 5);
  if (!strncmp(address, "vsock:", 6)) return serve_vsock(address + 6);
  return false;
}

void serve_no_more(void) {
  watch_close(&listener);
  timer_clear(&accept_again);
  while (connections) connection_end(connections);
  if (socket_path[0]) unlink(socket_path);
}

// Connect: a stream to a server of the guest, each direction of which ends by itself.
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "conversations.h"

struct forward {
  struct freeable freeable;
  struct connection *connection;
  struct watch peer;
  uint16_t port;
  // Of the connection's message that is held, what the peer has not taken yet.
  struct slice sent;
  bool is_version_6, is_connected, node_has_ended, peer_has_ended;
};

static uint8_t chunk[MAX_CHUNK];

// Nothing more is heard of the peer or said to it. The conversation lasts until the node has taken what was said, and its end
// would wake the loop again and again.
static void leave_peer(struct forward *forward) {
  watch_close(&forward->peer);
  forward->sent = (struct slice){0};
}

static void discard(struct forward *forward) {
  leave_peer(forward);
  loop_free(&forward->freeable);
}

static void be_over(struct connection *connection) {
  discard(connection->conversation);
}

// What the peer has said before it broke off, as far as there is room: a server's answer, perhaps, that it takes no more.
static void hear_last_words(struct forward *forward) {
  struct connection *connection = forward->connection;
  while (!connection->has_ended && connection_has_room(connection)) {
    ssize_t length = recv(forward->peer.fd, chunk, sizeof chunk, 0);
    if (length < 0 && errno == EINTR) continue;
    if (length <= 0) return;
    connection_data(connection, AgentMessage_data, chunk, (size_t)length);
  }
}

static void fail(struct forward *forward) {
  struct failure failure = failure_of_errno(errno, "port %u", forward->port);
  if (forward->is_connected && !forward->peer_has_ended) hear_last_words(forward);
  leave_peer(forward);
  connection_fail(forward->connection, failure);
}

// --- the stream --------------------------------------------------------------------------------------

static void look(struct forward *forward) {
  uint32_t events = 0;
  if (!forward->peer_has_ended && connection_has_room(forward->connection)) events |= EPOLLIN;
  if (forward->sent.length > 0) events |= EPOLLOUT;
  watch_for(&forward->peer, events);
}

static void finish_if_both_ended(struct forward *forward) {
  if (!forward->node_has_ended || !forward->peer_has_ended || forward->sent.length > 0) return;
  leave_peer(forward);
  connection_finish(forward->connection);
}

// As much as the peer takes now. False if the conversation has failed.
static bool pass_on(struct forward *forward) {
  while (forward->sent.length > 0) {
    ssize_t taken = send(forward->peer.fd, forward->sent.bytes, forward->sent.length, MSG_NOSIGNAL);
    if (taken < 0 && errno == EINTR) continue;
    if (taken < 0 && errno == EAGAIN) {
      connection_hold(forward->connection);
      return true;
    }
    if (taken < 0) {
      fail(forward);
      return false;
    }
    forward->sent = (struct slice){forward->sent.bytes + taken, forward->sent.length - (size_t)taken};
  }
  return true;
}

// What is heard of the peer; false if the conversation is over.
static bool hear(struct forward *forward) {
  struct connection *connection = forward->connection;
  if (!connection_has_room(connection)) return true;
  ssize_t length = recv(forward->peer.fd, chunk, sizeof chunk, 0);
  if (length < 0 && (errno == EAGAIN || errno == EINTR)) return true;
  if (length < 0) {
    fail(forward);
    return false;
  }
  if (length > 0) {
    connection_data(connection, AgentMessage_data, chunk, (size_t)length);
  } else {
    forward->peer_has_ended = true;
    connection_send_empty(connection, AgentMessage_end);
  }
  if (!connection->has_ended) finish_if_both_ended(forward);
  return !connection->has_ended && !connection->is_finishing;
}

static void stream(struct watch *watch, uint32_t events) {
  struct forward *forward = OWNER(struct forward, peer, watch);
  struct connection *connection = forward->connection;
  if (events & (EPOLLOUT | EPOLLERR | EPOLLHUP) && forward->sent.length > 0) {
    if (!pass_on(forward)) return;
    if (forward->sent.length == 0) connection_release(connection);
  }
  if (connection->has_ended || connection->is_finishing) {
    leave_peer(forward);
    return;
  }
  if (events & (EPOLLIN | EPOLLERR | EPOLLHUP) && !forward->peer_has_ended && !hear(forward)) return;
  look(forward);
}

static void be_writable(struct connection *connection) {
  struct forward *forward = connection->conversation;
  if (forward->is_connected) look(forward);
}

static bool take_message(struct connection *connection, const struct host_message *message) {
  struct forward *forward = connection->conversation;
  bool is_data = message->type == HostMessage_data;
  if (forward->node_has_ended || (!is_data && message->type != HostMessage_end)) return false;
  if (is_data) {
    forward->sent = message->data;
    if (!pass_on(forward)) return true;
  } else {
    forward->node_has_ended = true;
    shutdown(forward->peer.fd, SHUT_WR);
    finish_if_both_ended(forward);
  }
  if (!connection->has_ended && !connection->is_finishing) look(forward);
  return true;
}

static const struct verb FORWARD = {.message = take_message, .writable = be_writable, .told = be_over, .gone = be_over};

// --- the beginning -----------------------------------------------------------------------------------

static void await_connect(struct watch *watch, uint32_t events);

// False, with errno, if it has failed already.
static bool begin_connect(struct forward *forward) {
  struct sockaddr_in version_4 = {.sin_family = AF_INET, .sin_port = htons(forward->port)};
  struct sockaddr_in6 version_6 = {.sin6_family = AF_INET6, .sin6_port = htons(forward->port), .sin6_addr = in6addr_loopback};
  version_4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const void *address = forward->is_version_6 ? (void *)&version_6 : (void *)&version_4;
  socklen_t length = forward->is_version_6 ? sizeof version_6 : sizeof version_4;
  int domain = forward->is_version_6 ? AF_INET6 : AF_INET;
  forward->peer = (struct watch){.fd = socket(domain, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), .ready = await_connect};
  if (forward->peer.fd < 0) return false;
  int yes = 1;
  setsockopt(forward->peer.fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
  if (connect(forward->peer.fd, address, length) && errno != EINPROGRESS) return false;
  watch_for(&forward->peer, EPOLLOUT);
  return true;
}

static void be_connected(struct forward *forward) {
  struct connection *connection = forward->connection;
  forward->is_connected = true;
  forward->peer.ready = stream;
  connection_send_empty(connection, AgentMessage_done);
  if (connection->has_ended) return;
  look(forward);
  connection_release(connection);
}

// The other version's address if the first had nobody; then what went wrong with the first counts, since a guest may know but
// one version.
static void try_other_version(struct forward *forward, int error) {
  watch_close(&forward->peer);
  if (forward->is_version_6 || error == EMFILE || error == ENFILE || error == ENOMEM || error == ENOBUFS) {
    errno = error;
    fail(forward);
    return;
  }
  forward->is_version_6 = true;
  if (begin_connect(forward)) return;
  watch_close(&forward->peer);
  errno = error;
  fail(forward);
}

static void await_connect(struct watch *watch, uint32_t events) {
  (void)events;
  struct forward *forward = OWNER(struct forward, peer, watch);
  int error = 0;
  socklen_t length = sizeof error;
  getsockopt(watch->fd, SOL_SOCKET, SO_ERROR, &error, &length);
  if (error == 0) {
    be_connected(forward);
  } else {
    try_other_version(forward, error);
  }
}

void connect_begin(struct connection *connection, uint32_t port) {
  if (port < 1 || port > UINT16_MAX) {
    connection_fail(connection, failure_in("port", failure_of(Failure_INVALID, "%u is not 1 to 65,535", port)));
    return;
  }
  struct forward *forward = calloc(1, sizeof *forward);
  if (!forward) {
    connection_fail(connection, failure_of_errno(ENOMEM, "port %u", port));
    return;
  }
  *forward = (struct forward){.connection = connection, .peer.fd = -1, .port = (uint16_t)port};
  connection->verb = &FORWARD;
  connection->conversation = forward;
  connection_hold(connection);
  if (!begin_connect(forward)) try_other_version(forward, errno);
}

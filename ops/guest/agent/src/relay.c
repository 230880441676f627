#include "relay.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <linux/vm_sockets.h>

#include "loop.h"

#define BACKLOG 64
// One more waits until another has ended: the node ends each after a while.
#define MAX_RELAYS 64
#define BUFFER 4096
#define ACCEPT_RETRY_MS 100
// How long a client may keep its place when it is the only one that can go on: any user's may stay for ever.
#define PATIENCE_MS 10000

// What goes one way.
struct direction {
  struct watch *from, *to;
  size_t begin, end;
  // Nothing more comes; and that has been passed on.
  bool has_ended, is_over;
  uint8_t bytes[BUFFER];
};

struct relay {
  struct freeable freeable;
  struct watch client, node;
  struct direction up, down;
  struct timer patience;
  struct relay *next, *previous;
  bool is_connected, is_discarded;
};

static struct watch listener = {.fd = -1};
static struct timer accept_again;
static struct relay *relays;
static size_t relay_count;
static union {
  struct sockaddr any;
  struct sockaddr_vm vsock;
  struct sockaddr_un path;
} peer;
static socklen_t peer_length;

static void look_for_clients(void) {
  watch_for(&listener, relay_count < MAX_RELAYS ? EPOLLIN : 0);
}

static void discard(struct relay *relay) {
  if (relay->is_discarded) return;
  relay->is_discarded = true;
  watch_close(&relay->client);
  watch_close(&relay->node);
  timer_clear(&relay->patience);
  *(relay->previous ? &relay->previous->next : &relays) = relay->next;
  if (relay->next) relay->next->previous = relay->previous;
  relay_count--;
  loop_free(&relay->freeable);
  if (!accept_again.is_set) look_for_clients();
}

// --- the stream --------------------------------------------------------------------------------------

static bool is_empty(const struct direction *direction) {
  return direction->begin == direction->end;
}

static bool is_passing(int error) {
  return error == EAGAIN || error == EINTR;
}

// False if the connection it comes from has failed.
static bool fill(struct direction *direction) {
  ssize_t length = recv(direction->from->fd, direction->bytes, BUFFER, 0);
  if (length < 0) return is_passing(errno);
  direction->has_ended = length == 0;
  direction->begin = 0;
  direction->end = (size_t)length;
  return true;
}

// As much as is taken now. False if the connection it goes to has failed.
static bool drain(struct direction *direction) {
  while (!is_empty(direction)) {
    ssize_t sent = send(direction->to->fd, direction->bytes + direction->begin, direction->end - direction->begin, MSG_NOSIGNAL);
    if (sent < 0) return is_passing(errno);
    direction->begin += (size_t)sent;
  }
  if (direction->has_ended && !direction->is_over) {
    direction->is_over = true;
    shutdown(direction->to->fd, SHUT_WR);
  }
  return true;
}

static uint32_t events_of(const struct direction *in, const struct direction *out) {
  uint32_t events = 0;
  if (is_empty(in) && !in->has_ended) events |= EPOLLIN;
  if (!is_empty(out)) events |= EPOLLOUT;
  return events;
}

static void lose_patience(struct timer *timer) {
  discard(OWNER(struct relay, patience, timer));
}

// Until it has taken what there is for it, or has ended as the node has. For others the node has its own limits.
static void wait_for_client(struct relay *relay) {
  bool is_its_turn = relay->down.is_over || !is_empty(&relay->down);
  if (!is_its_turn) {
    timer_clear(&relay->patience);
  } else if (!relay->patience.is_set) {
    timer_set(&relay->patience, PATIENCE_MS);
  }
}

static void look(struct relay *relay) {
  wait_for_client(relay);
  watch_for(&relay->client, events_of(&relay->up, &relay->down));
  watch_for(&relay->node, events_of(&relay->down, &relay->up));
}

// One of the two has sent, takes more, or is gone.
static void go_on(struct relay *relay, struct watch *watch, uint32_t events) {
  struct direction *in = watch == &relay->client ? &relay->up : &relay->down;
  struct direction *out = watch == &relay->client ? &relay->down : &relay->up;
  bool is_well = true;
  if (events & (EPOLLIN | EPOLLHUP | EPOLLERR) && is_empty(in) && !in->has_ended) is_well = fill(in) && drain(in);
  if (is_well && events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) is_well = drain(out);
  bool is_over = relay->up.is_over && relay->down.is_over;
  if (is_well && !is_over) {
    look(relay);
  } else {
    discard(relay);
  }
}

static void hear_client(struct watch *watch, uint32_t events) {
  go_on(OWNER(struct relay, client, watch), watch, events);
}

static void hear_node(struct watch *watch, uint32_t events) {
  go_on(OWNER(struct relay, node, watch), watch, events);
}

// --- the beginning -----------------------------------------------------------------------------------

static void be_connected(struct relay *relay) {
  relay->node.ready = hear_node;
  look(relay);
}

static void await_connect(struct watch *watch, uint32_t events) {
  (void)events;
  struct relay *relay = OWNER(struct relay, node, watch);
  int error = 0;
  socklen_t length = sizeof error;
  if (getsockopt(watch->fd, SOL_SOCKET, SO_ERROR, &error, &length) == 0 && error == 0) {
    be_connected(relay);
  } else {
    discard(relay);
  }
}

// -1 if nobody answers there.
static int dial(void) {
  int node = socket(peer.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (node < 0 || connect(node, &peer.any, peer_length) == 0 || errno == EINPROGRESS) return node;
  close(node);
  return -1;
}

// A client whose node does not answer finds its connection closed.
static void begin_relay(int client) {
  struct relay *relay = calloc(1, sizeof *relay);
  int node = relay ? dial() : -1;
  if (node < 0) {
    free(relay);
    close(client);
    return;
  }
  relay->client = (struct watch){.fd = client, .ready = hear_client};
  relay->node = (struct watch){.fd = node, .ready = await_connect};
  relay->patience.due = lose_patience;
  relay->up.from = relay->down.to = &relay->client;
  relay->up.to = relay->down.from = &relay->node;
  relay->next = relays;
  if (relays) relays->previous = relay;
  relays = relay;
  relay_count++;
  watch_for(&relay->node, EPOLLOUT);
}

// --- the listener ------------------------------------------------------------------------------------

static void accept_clients(struct watch *watch, uint32_t events) {
  (void)events;
  while (relay_count < MAX_RELAYS) {
    int client = accept4(watch->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (client >= 0) {
      begin_relay(client);
    } else if (errno == EAGAIN) {
      return;
    } else if (errno != ECONNABORTED && errno != EINTR) {
      // No descriptors or no memory, most likely. Whoever waits goes on waiting.
      watch_for(&listener, 0);
      timer_set(&accept_again, ACCEPT_RETRY_MS);
      return;
    }
  }
  look_for_clients();
}

static void look_again(struct timer *timer) {
  (void)timer;
  look_for_clients();
}

static bool parse_port(const char *text, unsigned long most, uint32_t *port) {
  char *end;
  unsigned long number = strtoul(text, &end, 10);
  *port = (uint32_t)number;
  return end != text && !*end && number <= most;
}

static bool parse_peer(const char *text) {
  if (!strncmp(text, "unix:", 5) && strlen(text + 5) < sizeof peer.path.sun_path) {
    peer.path = (struct sockaddr_un){.sun_family = AF_UNIX};
    strcpy(peer.path.sun_path, text + 5);
    peer_length = sizeof peer.path;
    return true;
  }
  unsigned cid;
  char port[16];
  peer.vsock = (struct sockaddr_vm){.svm_family = AF_VSOCK};
  peer_length = sizeof peer.vsock;
  if (sscanf(text, "vsock:%u:%15s", &cid, port) != 2) return false;
  peer.vsock.svm_cid = cid;
  return parse_port(port, UINT32_MAX, &peer.vsock.svm_port);
}

static bool parse_address(const char *text, struct sockaddr_in *address) {
  char host[INET_ADDRSTRLEN], port_text[16];
  uint32_t port;
  if (sscanf(text, "%15[0-9.]:%15s", host, port_text) != 2 || !parse_port(port_text, UINT16_MAX, &port)) return false;
  *address = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  return inet_pton(AF_INET, host, &address->sin_addr) == 1;
}

bool relay_serve(const char *listen_at, const char *to) {
  struct sockaddr_in address;
  errno = 0;
  if (!parse_peer(to) || !parse_address(listen_at, &address)) return false;
  int yes = 1;
  int socket_fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (socket_fd < 0) return false;
  setsockopt(socket_fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  if (bind(socket_fd, (struct sockaddr *)&address, sizeof address) || listen(socket_fd, BACKLOG)) {
    int error = errno;
    close(socket_fd);
    errno = error;
    return false;
  }
  listener = (struct watch){.fd = socket_fd, .ready = accept_clients};
  accept_again.due = look_again;
  look_for_clients();
  return true;
}

void relay_serve_no_more(void) {
  watch_close(&listener);
  timer_clear(&accept_again);
  while (relays) discard(relays);
}

// Byte streams at scale, over vsock, TCP and unix sockets: a server that echoes, and a client that holds many connections
// at once and checks every byte that comes back.
//
//   streams serve vsock PORT | tcp PORT | unix PATH
//   streams connect vsock CID PORT | tcp ADDRESS PORT | unix PATH | hybrid PATH PORT   CONNECTIONS AT_ONCE BYTES
//
// "hybrid" reaches a guest's port PORT over a unix socket of its node: CONNECT PORT, answered by OK (vireo.v1's Vsock).
// Each of CONNECTIONS carries BYTES there and back, AT_ONCE of them open at a time. The status is 0 if every byte came back
// as it was sent.
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <linux/vm_sockets.h>

// What is under way of one connection: less than any socket's buffers hold, so nobody waits for somebody who waits for him.
#define CHUNK (32 * 1024)
#define EVENTS 64
#define BACKLOG 4096

struct address {
  union {
    struct sockaddr any;
    struct sockaddr_vm vsock;
    struct sockaddr_in tcp;
    struct sockaddr_un path;
  };
  socklen_t length;
  // To ask a node for, 0 if there is nothing to ask.
  unsigned long port_of_guest;
};

static void die(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  fputs("streams: ", stderr);
  vfprintf(stderr, format, arguments);
  if (errno) fprintf(stderr, ": %s", strerror(errno));
  fputc('\n', stderr);
  exit(1);
}

static unsigned long number(const char *text) {
  char *end;
  unsigned long value = strtoul(text, &end, 10);
  if (end == text || *end) {
    errno = 0;
    die("\"%s\" is no number", text);
  }
  return value;
}

static struct address vsock_address(unsigned cid, unsigned port) {
  struct address address = {.length = sizeof address.vsock};
  address.vsock = (struct sockaddr_vm){.svm_family = AF_VSOCK, .svm_cid = cid, .svm_port = port};
  return address;
}

static struct address tcp_address(in_addr_t host, unsigned port) {
  struct address address = {.length = sizeof address.tcp};
  address.tcp = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = host, .sin_port = htons(port)};
  return address;
}

static struct address unix_address(const char *path, unsigned long port_of_guest) {
  struct address address = {.length = sizeof address.path, .port_of_guest = port_of_guest};
  address.path = (struct sockaddr_un){.sun_family = AF_UNIX};
  if (strlen(path) >= sizeof address.path.sun_path) {
    errno = ENAMETOOLONG;
    die("%s", path);
  }
  strcpy(address.path.sun_path, path);
  return address;
}

static void without_delay(int socket, const struct address *address) {
  int yes = 1;
  if (address->any.sa_family == AF_INET) setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
}

// Linux gives up after two seconds, in which a busy node may not have come to it.
static void with_patience(int socket, const struct address *address) {
  struct timeval minute = {.tv_sec = 60};
  if (address->any.sa_family == AF_VSOCK) {
    setsockopt(socket, AF_VSOCK, SO_VM_SOCKETS_CONNECT_TIMEOUT, &minute, sizeof minute);
  }
}

static void write_all(int socket, const void *bytes, size_t length) {
  for (size_t done = 0; done < length;) {
    ssize_t n = write(socket, (const char *)bytes + done, length - done);
    if (n < 0 && errno != EINTR) die("write");
    if (n > 0) done += (size_t)n;
  }
}

static void read_all(int socket, void *bytes, size_t length) {
  for (size_t done = 0; done < length;) {
    errno = 0;
    ssize_t n = read(socket, (char *)bytes + done, length - done);
    if (n == 0 || (n < 0 && errno != EINTR)) die("read, %zu bytes short", length - done);
    if (n > 0) done += (size_t)n;
  }
}

// --- the server --------------------------------------------------------------------------------------

struct connection {
  int socket;
  size_t begin, end;
  char bytes[CHUNK];
};

// Echoes what there is to echo. False when the other side has ended.
static int echo(int poll, struct connection *connection) {
  for (;;) {
    if (connection->begin == connection->end) {
      ssize_t n = read(connection->socket, connection->bytes, CHUNK);
      if (n < 0 && errno == EAGAIN) break;
      if (n <= 0) return 0;
      connection->begin = 0;
      connection->end = (size_t)n;
    }
    ssize_t n = send(connection->socket, connection->bytes + connection->begin, connection->end - connection->begin,
                     MSG_NOSIGNAL);
    if (n < 0 && errno == EAGAIN) break;
    if (n < 0) return 0;
    connection->begin += (size_t)n;
  }
  struct epoll_event event = {.data.ptr = connection};
  event.events = connection->begin == connection->end ? EPOLLIN : EPOLLOUT;
  return epoll_ctl(poll, EPOLL_CTL_MOD, connection->socket, &event) == 0;
}

static void take(int poll, int listener, const struct address *address) {
  int socket;
  while ((socket = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
    struct connection *connection = malloc(sizeof *connection);
    if (!connection) die("memory");
    connection->socket = socket;
    connection->begin = connection->end = 0;
    without_delay(socket, address);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
    if (epoll_ctl(poll, EPOLL_CTL_ADD, socket, &event)) die("epoll");
  }
  if (errno != EAGAIN && errno != ECONNABORTED) die("accept");
}

static void serve(const struct address *address) {
  int listener = socket(address->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  int yes = 1;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  if (listener < 0 || bind(listener, &address->any, address->length) || listen(listener, BACKLOG)) die("listen");
  int poll = epoll_create1(EPOLL_CLOEXEC);
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
  if (poll < 0 || epoll_ctl(poll, EPOLL_CTL_ADD, listener, &event)) die("epoll");
  puts("streams: listening");
  fflush(stdout);
  for (;;) {
    struct epoll_event events[EVENTS];
    int count = epoll_wait(poll, events, EVENTS, -1);
    for (int i = 0; i < count; i++) {
      struct connection *connection = events[i].data.ptr;
      if (!connection) {
        take(poll, listener, address);
      } else if (!echo(poll, connection)) {
        close(connection->socket);
        free(connection);
      }
    }
  }
}

// --- the client --------------------------------------------------------------------------------------

// What connection number `stream` carries at `offset`: no two connections, and no two places, look alike for long.
static void fill(uint64_t *words, size_t count, uint64_t stream, uint64_t offset) {
  uint64_t state = (stream << 40) ^ offset ^ 0x9e3779b97f4a7c15u;
  for (size_t i = 0; i < count; i++) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    words[i] = state;
  }
}

static void ask_for_guest(int socket, unsigned long port) {
  char line[64];
  int length = snprintf(line, sizeof line, "CONNECT %lu\n", port);
  write_all(socket, line, (size_t)length);
  size_t at = 0;
  do read_all(socket, line + at, 1);
  while (line[at++] != '\n' && at < sizeof line);
  errno = 0;
  if (strncmp(line, "OK ", 3)) die("the node says %.*s", (int)at, line);
}

static int connect_to(const struct address *address) {
  int connection = socket(address->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (connection >= 0) with_patience(connection, address);
  if (connection < 0 || connect(connection, &address->any, address->length)) die("connect");
  without_delay(connection, address);
  if (address->port_of_guest) ask_for_guest(connection, address->port_of_guest);
  return connection;
}

static void exchange(const int *sockets, unsigned long count, unsigned long first, unsigned long bytes) {
  static uint64_t sent[CHUNK / 8], received[CHUNK / 8];
  for (unsigned long offset = 0; offset < bytes; offset += CHUNK) {
    size_t length = bytes - offset < CHUNK ? bytes - offset : CHUNK;
    for (unsigned long i = 0; i < count; i++) {
      fill(sent, CHUNK / 8, first + i, offset);
      write_all(sockets[i], sent, length);
    }
    for (unsigned long i = 0; i < count; i++) {
      fill(sent, CHUNK / 8, first + i, offset);
      read_all(sockets[i], received, length);
      errno = 0;
      if (memcmp(sent, received, length)) die("connection %lu: other bytes than were sent, from %lu on", first + i, offset);
    }
  }
}

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void run(const struct address *address, unsigned long connections, unsigned long at_once, unsigned long bytes) {
  int *sockets = calloc(at_once, sizeof *sockets);
  if (!sockets) die("memory");
  double begin = now();
  for (unsigned long first = 0; first < connections; first += at_once) {
    unsigned long count = connections - first < at_once ? connections - first : at_once;
    for (unsigned long i = 0; i < count; i++) sockets[i] = connect_to(address);
    exchange(sockets, count, first, bytes);
    for (unsigned long i = 0; i < count; i++) close(sockets[i]);
  }
  double seconds = now() - begin;
  printf("streams: %lu connections, %lu at once, %lu bytes each way on each, all as sent; %.1f s, %.0f connections/s, %.1f MB/s\n",
         connections, at_once, bytes, seconds, (double)connections / seconds,
         2 * (double)connections * (double)bytes / seconds / 1e6);
}

// --- the command line --------------------------------------------------------------------------------

static void usage(void) {
  fputs("streams serve vsock PORT | tcp PORT | unix PATH\n"
        "streams connect vsock CID PORT | tcp ADDRESS PORT | unix PATH | hybrid PATH PORT  CONNECTIONS AT_ONCE BYTES\n",
        stderr);
  exit(2);
}

// Takes an address off the words of a command line.
static struct address address_of(int serving, char ***words) {
  char **w = *words;
  if (!w[0] || !w[1]) usage();
  int is_path = !strcmp(w[0], "unix");
  int taken = serving || is_path ? 2 : 3;
  if (taken == 3 && !w[2]) usage();
  *words += taken;
  if (is_path) return unix_address(w[1], 0);
  if (!strcmp(w[0], "hybrid") && !serving) return unix_address(w[1], number(w[2]));
  if (!strcmp(w[0], "vsock")) {
    return serving ? vsock_address(VMADDR_CID_ANY, (unsigned)number(w[1]))
                   : vsock_address((unsigned)number(w[1]), (unsigned)number(w[2]));
  }
  if (!strcmp(w[0], "tcp")) {
    return serving ? tcp_address(INADDR_ANY, (unsigned)number(w[1])) : tcp_address(inet_addr(w[1]), (unsigned)number(w[2]));
  }
  usage();
  exit(2);
}

int main(int count, char **words) {
  if (count < 2) usage();
  signal(SIGPIPE, SIG_IGN);
  struct rlimit files;
  if (!getrlimit(RLIMIT_NOFILE, &files)) {
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
  }
  int serving = !strcmp(words[1], "serve");
  if (!serving && strcmp(words[1], "connect")) usage();
  words += 2;
  struct address address = address_of(serving, &words);
  if (serving) serve(&address);
  if (!words[0] || !words[1] || !words[2]) usage();
  run(&address, number(words[0]), number(words[1]), number(words[2]));
  return 0;
}

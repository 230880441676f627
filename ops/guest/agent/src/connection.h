// A connection of the node: frames in, frames out, and one conversation. Memory is bounded: one frame that comes in, and
// OUTPUT_LIMIT of what goes out, beyond which a conversation that has more to say waits.
#pragma once

#include "failure.h"
#include "loop.h"
#include "wire.h"

#define MAX_CONNECTIONS 4096
// The most that connection_data takes at once.
#define MAX_CHUNK (32 * 1024)

struct connection;

// What a kind of conversation does.
struct verb {
  // A message after the first one; NULL if none may come. False if it is out of turn. If it is not done with the message when
  // it returns, it has called connection_hold.
  bool (*message)(struct connection *connection, const struct host_message *message);
  // There is room for a chunk again.
  void (*writable)(struct connection *connection);
  // connection_finish was called, and all that was said has been handed to the kernel.
  void (*told)(struct connection *connection);
  // It has ended before. Nothing may be done with it any more.
  void (*gone)(struct connection *connection);
};

struct buffer {
  uint8_t *bytes;
  size_t begin, end, capacity;
};

struct connection {
  struct freeable freeable;
  struct watch socket;
  struct timer linger;
  struct buffer input, output;
  // NULL before the first message, and after the last one.
  const struct verb *verb;
  void *conversation;
  struct connection *next, *previous;
  // Of `input`, what belongs to the message that is being handled.
  size_t handled;
  bool is_handling, is_held, is_finishing, is_lingering, has_ended;
};

// Listens, and serves all who come. "unix:PATH" or "vsock:PORT". False with errno, or with 0 if the address is none.
bool serve(const char *address);

// Ends all connections, and removes what serve has made.
void serve_no_more(void);

void connection_send(struct connection *connection, uint32_t field, const struct message *message);
void connection_send_empty(struct connection *connection, uint32_t field);

bool connection_has_room(const struct connection *connection);
// At most MAX_CHUNK, and only if it has room.
void connection_data(struct connection *connection, uint32_t field, const uint8_t *bytes, size_t length);

// The message that is being handled stays where it is, and no other comes, until it is released.
void connection_hold(struct connection *connection);
void connection_release(struct connection *connection);

// The conversation has come to its end: what was said is delivered, what still comes is passed over.
void connection_finish(struct connection *connection);
void connection_fail(struct connection *connection, struct failure failure);

// How many there are.
size_t connections_open(void);

// At once. The conversation is told that it is gone, unless it was taken off before.
void connection_end(struct connection *connection);

// In a process of its own that goes on with the conversation: every descriptor but the standard ones and the socket is closed,
// and that one is blocking. The socket.
int connection_keep_alone(struct connection *connection);

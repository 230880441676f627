// The messages of vireo.agent.v1 and Protocol Buffers' wire format (protobuf.dev/programming-guides/encoding), as far as they
// need it: reading makes no copies, and believes no length.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fields.h"

#define MAX_FRAME (256 * 1024)
#define MAX_DATA (64 * 1024)
// Of a frame around a message with one field, tag and both lengths.
#define MAX_FRAME_HEADER 12

struct slice {
  const uint8_t *bytes;
  size_t length;
};

// Strings of a repeated field, which are read by strings_copy.
struct strings {
  struct slice message;
  size_t count;
  // Of all, each with a zero at its end.
  size_t bytes;
};

struct terminal_size {
  uint32_t columns, rows;
};

struct exec_request {
  struct strings arguments, environment;
  struct slice working_directory, user, key;
  struct terminal_size terminal;
  bool has_terminal, stdin, detach;
};

struct write_request {
  struct slice path;
  bool into_directory;
};

struct seed_request {
  uint64_t realtime_ns;
  struct slice entropy;
};

struct file_entry {
  struct slice path, link_target;
  uint32_t type, mode, uid, gid;
  uint64_t modification_time, size;
};

struct host_message {
  // HostMessage_..., 0 for one that this agent does not know.
  uint32_t type;
  union {
    struct exec_request exec;
    struct slice read_path;
    struct write_request write;
    uint32_t port;
    struct seed_request seed;
    uint32_t grace_ms;
    struct slice data;
    struct terminal_size resize;
    uint32_t signal;
    struct file_entry entry;
  };
};

enum framing { FRAME_WHOLE, FRAME_PARTIAL, FRAME_MALFORMED };

// The message at the beginning of `input`. The next one begins where it ends.
enum framing frame_at(struct slice input, struct slice *frame);

// False if it is malformed. Slices point into the frame; texts are UTF-8 without zeroes.
bool host_message_decode(struct slice frame, struct host_message *message);

// Puts the strings into `bytes`, and where each begins into `vector`.
void strings_copy(const struct strings *strings, uint32_t field, char **vector, char *bytes);

bool is_text(struct slice slice);

// A copy with a zero at its end; false if there is no room for it.
bool slice_copy(struct slice slice, char *text, size_t room);

// A message that is being written. What has no room is a mistake of ours: all that is written is bounded.
struct message {
  size_t length;
  uint8_t bytes[10 * 1024];
};

// As proto3 has it, a zero and an empty text are not written.
void put_number(struct message *message, uint32_t field, uint64_t value);
void put_bytes(struct message *message, uint32_t field, struct slice value);
void put_text(struct message *message, uint32_t field, const char *value);

// Writes what goes before `length` bytes of an AgentMessage's field, and tells how many bytes that are.
size_t frame_header(uint8_t header[MAX_FRAME_HEADER], uint32_t field, size_t length);

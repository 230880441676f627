#include "wire.h"

#include <stdlib.h>
#include <string.h>

enum wire_type { VARINT = 0, FIXED64 = 1, BYTES = 2, FIXED32 = 5 };

struct field {
  uint32_t number;
  enum wire_type type;
  uint64_t value;
  struct slice bytes;
};

// --- reading -----------------------------------------------------------------------------------------

static struct slice behind(struct slice slice, size_t length) {
  return (struct slice){slice.bytes + length, slice.length - length};
}

// How many bytes it has; 0 if it does not end within `input`, or in ten bytes.
static size_t varint_at(struct slice input, uint64_t *value) {
  *value = 0;
  for (size_t i = 0; i < input.length && i < 10; i++) {
    *value |= (uint64_t)(input.bytes[i] & 0x7f) << (7 * i);
    if (!(input.bytes[i] & 0x80)) return i + 1;
  }
  return 0;
}

static bool take_varint(struct slice *input, uint64_t *value) {
  size_t length = varint_at(*input, value);
  *input = behind(*input, length);
  return length > 0;
}

static bool take_bytes(struct slice *input, uint64_t length, struct slice *bytes) {
  if (length > input->length) return false;
  *bytes = (struct slice){input->bytes, (size_t)length};
  *input = behind(*input, (size_t)length);
  return true;
}

static bool take_field(struct slice *input, struct field *field) {
  uint64_t tag;
  if (!take_varint(input, &tag) || tag >> 3 == 0 || tag > UINT32_MAX) return false;
  *field = (struct field){.number = (uint32_t)(tag >> 3), .type = (enum wire_type)(tag & 7)};
  switch (field->type) {
    case VARINT: return take_varint(input, &field->value);
    case FIXED64: return take_bytes(input, 8, &field->bytes);
    case BYTES: return take_varint(input, &field->value) && take_bytes(input, field->value, &field->bytes);
    case FIXED32: return take_bytes(input, 4, &field->bytes);
  }
  return false;
}

enum framing frame_at(struct slice input, struct slice *frame) {
  uint64_t length;
  size_t header = varint_at(input, &length);
  if (header == 0) return input.length < 5 ? FRAME_PARTIAL : FRAME_MALFORMED;
  if (length > MAX_FRAME) return FRAME_MALFORMED;
  if (length > input.length - header) return FRAME_PARTIAL;
  *frame = (struct slice){input.bytes + header, (size_t)length};
  return FRAME_WHOLE;
}

// --- messages ----------------------------------------------------------------------------------------

enum kind { TEXT, RAW, NUMBER, LONG_NUMBER, FLAG, TEXTS, SIZE };

// A field of a message, and where in its struct it goes.
struct rule {
  uint32_t number;
  enum kind kind;
  size_t offset;
};

#define MAX_RULES 8

static const struct rule SIZE_RULES[MAX_RULES] = {
  {TerminalSize_columns, NUMBER, offsetof(struct terminal_size, columns)},
  {TerminalSize_rows, NUMBER, offsetof(struct terminal_size, rows)},
};

static const struct rule EXEC_RULES[MAX_RULES] = {
  {ExecRequest_arguments, TEXTS, offsetof(struct exec_request, arguments)},
  {ExecRequest_environment, TEXTS, offsetof(struct exec_request, environment)},
  {ExecRequest_working_directory, TEXT, offsetof(struct exec_request, working_directory)},
  {ExecRequest_user, TEXT, offsetof(struct exec_request, user)},
  {ExecRequest_terminal, SIZE, offsetof(struct exec_request, terminal)},
  {ExecRequest_stdin, FLAG, offsetof(struct exec_request, stdin)},
  {ExecRequest_detach, FLAG, offsetof(struct exec_request, detach)},
  {ExecRequest_key, TEXT, offsetof(struct exec_request, key)},
};

static const struct rule READ_RULES[MAX_RULES] = {
  {ReadRequest_path, TEXT, 0},
};

static const struct rule WRITE_RULES[MAX_RULES] = {
  {WriteRequest_path, TEXT, offsetof(struct write_request, path)},
  {WriteRequest_into_directory, FLAG, offsetof(struct write_request, into_directory)},
};

static const struct rule CONNECT_RULES[MAX_RULES] = {
  {ConnectRequest_port, NUMBER, 0},
};

static const struct rule SEED_RULES[MAX_RULES] = {
  {SeedRequest_realtime_ns, LONG_NUMBER, offsetof(struct seed_request, realtime_ns)},
  {SeedRequest_entropy, RAW, offsetof(struct seed_request, entropy)},
};

static const struct rule SHUTDOWN_RULES[MAX_RULES] = {
  {ShutdownRequest_grace_ms, NUMBER, 0},
};

static const struct rule ENTRY_RULES[MAX_RULES] = {
  {FileEntry_path, TEXT, offsetof(struct file_entry, path)},
  {FileEntry_type, NUMBER, offsetof(struct file_entry, type)},
  {FileEntry_mode, NUMBER, offsetof(struct file_entry, mode)},
  {FileEntry_uid, NUMBER, offsetof(struct file_entry, uid)},
  {FileEntry_gid, NUMBER, offsetof(struct file_entry, gid)},
  {FileEntry_modification_time, LONG_NUMBER, offsetof(struct file_entry, modification_time)},
  {FileEntry_size, LONG_NUMBER, offsetof(struct file_entry, size)},
  {FileEntry_link_target, TEXT, offsetof(struct file_entry, link_target)},
};

static const struct rule NO_RULES[MAX_RULES] = {{0}};

static bool decode(struct slice input, const struct rule *rules, void *target);

static bool take_size(struct slice bytes, struct exec_request *exec) {
  exec->has_terminal = true;
  return decode(bytes, SIZE_RULES, &exec->terminal);
}

static void count_text(struct slice message, struct slice text, struct strings *strings) {
  strings->message = message;
  strings->count++;
  strings->bytes += text.length + 1;
}

static bool take_number(uint64_t value, uint32_t *number) {
  *number = (uint32_t)value;
  return value <= UINT32_MAX;
}

static bool store(struct slice message, const struct field *field, enum kind kind, void *target, void *place) {
  bool is_number = kind == NUMBER || kind == LONG_NUMBER || kind == FLAG;
  if (field->type != (is_number ? VARINT : BYTES)) return false;
  if ((kind == TEXT || kind == TEXTS) && !is_text(field->bytes)) return false;
  switch (kind) {
    case TEXT:
    case RAW: *(struct slice *)place = field->bytes; break;
    case NUMBER: return take_number(field->value, place);
    case LONG_NUMBER: *(uint64_t *)place = field->value; break;
    case FLAG: *(bool *)place = field->value != 0; break;
    case TEXTS: count_text(message, field->bytes, place); break;
    case SIZE: return take_size(field->bytes, target);
  }
  return true;
}

// What no rule is about is passed over: a later version's.
static bool decode(struct slice input, const struct rule *rules, void *target) {
  struct slice message = input;
  struct field field;
  while (input.length > 0) {
    if (!take_field(&input, &field)) return false;
    for (size_t i = 0; i < MAX_RULES && rules[i].number; i++) {
      if (rules[i].number != field.number) continue;
      if (!store(message, &field, rules[i].kind, target, (char *)target + rules[i].offset)) return false;
    }
  }
  return true;
}

static bool is_member(uint32_t number) {
  return number <= HostMessage_shutdown || (number >= HostMessage_data && number <= HostMessage_entry);
}

static bool decode_member(const struct field *member, struct host_message *message) {
  bool is_number = member->number == HostMessage_signal;
  if (is_member(member->number) && member->type != (is_number ? VARINT : BYTES)) return false;
  struct slice bytes = member->bytes;
  switch (member->number) {
    case HostMessage_status:
    case HostMessage_end: return decode(bytes, NO_RULES, NULL);
    case HostMessage_exec: return decode(bytes, EXEC_RULES, &message->exec);
    case HostMessage_read: return decode(bytes, READ_RULES, &message->read_path);
    case HostMessage_write: return decode(bytes, WRITE_RULES, &message->write);
    case HostMessage_connect: return decode(bytes, CONNECT_RULES, &message->port);
    case HostMessage_seed: return decode(bytes, SEED_RULES, &message->seed);
    case HostMessage_shutdown: return decode(bytes, SHUTDOWN_RULES, &message->grace_ms);
    case HostMessage_resize: return decode(bytes, SIZE_RULES, &message->resize);
    case HostMessage_entry: return decode(bytes, ENTRY_RULES, &message->entry);
    case HostMessage_data: message->data = bytes; return bytes.length <= MAX_DATA;
    case HostMessage_signal: return take_number(member->value, &message->signal);
    default: message->type = 0; return true;
  }
}

bool host_message_decode(struct slice frame, struct host_message *message) {
  struct field member;
  *message = (struct host_message){0};
  while (frame.length > 0) {
    // Of a oneof's members the last one counts.
    if (!take_field(&frame, &member)) return false;
    *message = (struct host_message){.type = member.number};
    if (!decode_member(&member, message)) return false;
  }
  return true;
}

void strings_copy(const struct strings *strings, uint32_t number, char **vector, char *bytes) {
  struct slice input = strings->message;
  struct field field;
  while (input.length > 0 && take_field(&input, &field)) {
    if (field.number != number) continue;
    *vector++ = bytes;
    memcpy(bytes, field.bytes.bytes, field.bytes.length);
    bytes[field.bytes.length] = 0;
    bytes += field.bytes.length + 1;
  }
}

// --- text --------------------------------------------------------------------------------------------

// How many bytes the character at the beginning has; 0 if it is none (RFC 3629, section 4), or zero.
static size_t character_at(struct slice slice) {
  uint8_t first = slice.bytes[0];
  if (first < 0x80) return first != 0;
  size_t length = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
  if (first < 0xc2 || first > 0xf4 || slice.length < length) return 0;
  for (size_t i = 1; i < length; i++) {
    if ((slice.bytes[i] & 0xc0) != 0x80) return 0;
  }
  uint8_t second = slice.bytes[1];
  bool is_overlong = (first == 0xe0 && second < 0xa0) || (first == 0xf0 && second < 0x90);
  bool is_surrogate = first == 0xed && second > 0x9f;
  bool is_beyond = first == 0xf4 && second > 0x8f;
  return is_overlong || is_surrogate || is_beyond ? 0 : length;
}

bool is_text(struct slice slice) {
  while (slice.length > 0) {
    size_t length = character_at(slice);
    if (length == 0) return false;
    slice = behind(slice, length);
  }
  return true;
}

bool slice_copy(struct slice slice, char *text, size_t room) {
  if (slice.length >= room) return false;
  if (slice.length > 0) memcpy(text, slice.bytes, slice.length);
  text[slice.length] = 0;
  return true;
}

// --- writing -----------------------------------------------------------------------------------------

static size_t varint_put(uint8_t *bytes, uint64_t value) {
  size_t length = 0;
  for (; value >= 0x80; value >>= 7) bytes[length++] = (uint8_t)(value | 0x80);
  bytes[length++] = (uint8_t)value;
  return length;
}

static void require_room(const struct message *message, size_t length) {
  if (length > sizeof message->bytes - message->length) abort();
}

static void append_varint(struct message *message, uint64_t value) {
  require_room(message, 10);
  message->length += varint_put(message->bytes + message->length, value);
}

void put_number(struct message *message, uint32_t field, uint64_t value) {
  if (value == 0) return;
  append_varint(message, (uint64_t)field << 3 | VARINT);
  append_varint(message, value);
}

void put_bytes(struct message *message, uint32_t field, struct slice value) {
  if (value.length == 0) return;
  append_varint(message, (uint64_t)field << 3 | BYTES);
  append_varint(message, value.length);
  require_room(message, value.length);
  memcpy(message->bytes + message->length, value.bytes, value.length);
  message->length += value.length;
}

void put_text(struct message *message, uint32_t field, const char *value) {
  put_bytes(message, field, (struct slice){(const uint8_t *)value, strlen(value)});
}

size_t frame_header(uint8_t header[MAX_FRAME_HEADER], uint32_t field, size_t length) {
  uint8_t inner[MAX_FRAME_HEADER];
  size_t inner_length = varint_put(inner, (uint64_t)field << 3 | BYTES);
  inner_length += varint_put(inner + inner_length, length);
  size_t outer_length = varint_put(header, inner_length + length);
  memcpy(header + outer_length, inner, inner_length);
  return outer_length + inner_length;
}

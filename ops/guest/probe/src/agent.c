#include "agent.h"

#include "platform.h"

/* Numbers of vireo/agent/v1/agent.proto, and Protocol Buffers' wire types. */
enum { HOST_STATUS = 1, HOST_EXEC = 2, EXEC_ARGUMENTS = 1 };
enum { AGENT_STATUS = 1, AGENT_STARTED = 2, AGENT_EXITED = 7, AGENT_FAILURE = 15 };
enum { STATUS_VERSION = 1, STARTED_PID = 1, EXITED_STATUS = 1, FAILURE_CODE = 1, FAILURE_MESSAGE = 2, FAILURE_FIELD = 3 };
enum { NOT_FOUND = 2, UNSUPPORTED = 8 };
enum { VARINT = 0, BYTES = 2 };

/* ---- reading ---- */

struct slice {
  const uint8_t *bytes;
  uint32_t length;
};

/* Nothing here is longer than a connection's room, so two bytes hold any length. */
#define VARINT_BYTES 2

enum varint { WHOLE, PARTIAL, TOO_LONG };

static enum varint take_varint(struct slice *input, uint32_t *value) {
  *value = 0;
  for (uint32_t i = 0; i < VARINT_BYTES; i++) {
    if (i == input->length) return PARTIAL;
    *value |= (uint32_t)(input->bytes[i] & 0x7f) << (7 * i);
    if (!(input->bytes[i] & 0x80)) {
      *input = (struct slice){input->bytes + i + 1, input->length - i - 1};
      return WHOLE;
    }
  }
  return TOO_LONG;
}

/* The next field, which must have bytes. */
static bool take_field(struct slice *input, uint32_t *number, struct slice *content) {
  uint32_t tag, length;
  if (take_varint(input, &tag) != WHOLE || (tag & 7) != BYTES) return false;
  if (take_varint(input, &length) != WHOLE || length > input->length) return false;
  *number = tag >> 3;
  *content = (struct slice){input->bytes, length};
  *input = (struct slice){input->bytes + length, input->length - length};
  return true;
}

static bool is(struct slice slice, const char *text) {
  uint32_t i = 0;
  while (i < slice.length && text[i] != 0 && slice.bytes[i] == (uint8_t)text[i]) i++;
  return i == slice.length && text[i] == 0;
}

/* ---- writing ---- */

struct message {
  uint32_t length;
  uint8_t bytes[120]; /* so that a length has one byte */
};

static void put_number(struct message *message, uint32_t field, uint8_t value) {
  if (value == 0) return;
  message->bytes[message->length++] = (uint8_t)(field << 3 | VARINT);
  message->bytes[message->length++] = value;
}

static void put_bytes(struct message *message, uint32_t field, const void *bytes, uint32_t length) {
  message->bytes[message->length++] = (uint8_t)(field << 3 | BYTES);
  message->bytes[message->length++] = (uint8_t)length;
  memcpy(message->bytes + message->length, bytes, length);
  message->length += length;
}

static void put_text(struct message *message, uint32_t field, const char *text) {
  uint32_t length = 0;
  while (text[length] != 0) length++;
  put_bytes(message, field, text, length);
}

/* Adds a framed message of the agent's, with this member. */
static void say(struct message *answer, uint32_t member, const struct message *content) {
  answer->bytes[answer->length++] = (uint8_t)(content->length + 2);
  put_bytes(answer, member, content->bytes, content->length);
}

/* ---- answers ---- */

static void fail(struct message *answer, uint8_t code, const char *text, const char *field) {
  struct message failure = {0};
  put_number(&failure, FAILURE_CODE, code);
  put_text(&failure, FAILURE_MESSAGE, text);
  put_text(&failure, FAILURE_FIELD, field);
  say(answer, AGENT_FAILURE, &failure);
}

static void run(struct message *answer, uint8_t status) {
  static uint8_t pid;
  struct message started = {0}, exited = {0};
  pid = pid % 127 + 1;
  put_number(&started, STARTED_PID, pid);
  put_number(&exited, EXITED_STATUS, status);
  say(answer, AGENT_STARTED, &started);
  say(answer, AGENT_EXITED, &exited);
}

/* The first of its fields is the program's name. */
static bool execute(struct message *answer, struct slice request) {
  uint32_t number;
  struct slice program;
  if (!take_field(&request, &number, &program) || number != EXEC_ARGUMENTS) return false;
  if (is(program, "true")) {
    run(answer, 0);
  } else if (is(program, "false")) {
    run(answer, 1);
  } else {
    fail(answer, NOT_FOUND, "the probe has no programs but true and false", "arguments");
  }
  return true;
}

static void tell_status(struct message *answer) {
  struct message status = {0};
  put_text(&status, STATUS_VERSION, "probe");
  say(answer, AGENT_STATUS, &status);
}

static bool answer_frame(struct message *answer, struct slice frame) {
  uint32_t member;
  struct slice content;
  if (!take_field(&frame, &member, &content)) return false;
  if (member == HOST_EXEC) return execute(answer, content);
  if (member == HOST_STATUS) {
    tell_status(answer);
  } else {
    fail(answer, UNSUPPORTED, "the probe does nothing but exec", "");
  }
  return true;
}

bool agent_answer(const uint8_t *input, uint32_t length, uint8_t *answer, uint32_t *answer_length) {
  struct slice rest = {input, length};
  struct message said = {0};
  uint32_t frame;
  enum varint prefix = take_varint(&rest, &frame);
  if (prefix == PARTIAL || (prefix == WHOLE && frame > rest.length)) return false;
  if (prefix == TOO_LONG || !answer_frame(&said, (struct slice){rest.bytes, frame})) said.length = 0;
  memcpy(answer, said.bytes, said.length);
  *answer_length = said.length;
  return true;
}

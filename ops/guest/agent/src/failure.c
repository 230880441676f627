#include "failure.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

uint32_t failure_code(int error) {
  switch (error) {
    case ENOENT:
    case ENOTDIR: return Failure_NOT_FOUND;
    case EACCES:
    case EPERM:
    case EROFS: return Failure_PERMISSION_DENIED;
    case ENOEXEC:
    case ELIBBAD:
    case ETXTBSY: return Failure_NOT_EXECUTABLE;
    case ECONNREFUSED: return Failure_REFUSED;
    case EAGAIN:
    case ENOMEM:
    case EMFILE:
    case ENFILE:
    case ENOSPC:
    case EDQUOT: return Failure_EXHAUSTED;
    case E2BIG:
    case EINVAL:
    case EISDIR:
    case ELOOP:
    case EEXIST:
    case ENOTEMPTY:
    case ENAMETOOLONG: return Failure_INVALID;
    default: return Failure_FAILED;
  }
}

// Names of the guest's files may be any bytes; a message is text.
static void make_text(char *message) {
  if (is_text((struct slice){(const uint8_t *)message, strlen(message)})) return;
  for (; *message; message++) {
    if (*message & 0x80) *message = '?';
  }
}

static struct failure format_failure(uint32_t code, const char *format, va_list arguments) {
  struct failure failure = {.code = code};
  vsnprintf(failure.message, sizeof failure.message, format, arguments);
  make_text(failure.message);
  return failure;
}

struct failure failure_of(uint32_t code, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  struct failure failure = format_failure(code, format, arguments);
  va_end(arguments);
  return failure;
}

struct failure failure_of_errno(int error, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  struct failure failure = format_failure(failure_code(error), format, arguments);
  va_end(arguments);
  const char *reason = strerror(error);
  size_t length = strlen(failure.message);
  // A long name gives way to the reason.
  size_t most = sizeof failure.message - strlen(reason) - 3;
  if (length > most) length = most;
  snprintf(failure.message + length, sizeof failure.message - length, ": %s", reason);
  make_text(failure.message);
  return failure;
}

struct failure failure_in(const char *field, struct failure failure) {
  snprintf(failure.field, sizeof failure.field, "%s", field);
  return failure;
}

void failure_put(const struct failure *failure, struct message *message) {
  put_number(message, Failure_code, failure->code);
  put_text(message, Failure_message, failure->message);
  put_text(message, Failure_field, failure->field);
}

// What is said of what could not be done.
#pragma once

#include <stdint.h>

#include "wire.h"

struct failure {
  // Failure_...
  uint32_t code;
  char message[500];
  // Of the request, to blame; or empty.
  char field[32];
};

// The code for an errno.
uint32_t failure_code(int error);

struct failure failure_of(uint32_t code, const char *format, ...) __attribute__((format(printf, 2, 3)));

// With the code and the text of an errno behind it.
struct failure failure_of_errno(int error, const char *format, ...) __attribute__((format(printf, 2, 3)));

// The same, for which this field of the request is to blame.
struct failure failure_in(const char *field, struct failure failure);

void failure_put(const struct failure *failure, struct message *message);

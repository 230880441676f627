// A conversation about files, in a process of its own: disks may be slow, and file systems of the guest's users may never
// answer. It reads and writes the socket as it would any other file, and ends the process at the conversation's end.
#pragma once

#include "conversations.h"

struct transfer {
  int socket;
  // What has come and was not looked at yet.
  uint8_t *input;
  size_t begin, end;
  // What is undone if the conversation ends before its time; NULL: nothing.
  void (*undo)(void);
};

// Calls `run` in a process of its own, with the first message's path as text.
void transfer_begin(struct connection *connection, struct slice path, void (*run)(struct transfer *, const char *path, bool flag),
                    bool flag);

// The next message, or no return. Its slices are good until the one after it.
void transfer_receive(struct transfer *transfer, struct host_message *message);

void transfer_send(struct transfer *transfer, uint32_t field, const struct message *message);

// Of the file's next `length` bytes, at most MAX_DATA, those that it has. How many those are, or -1 with errno.
ssize_t transfer_send_file(struct transfer *transfer, int file, size_t length);

// The last word.
_Noreturn void transfer_finish(struct transfer *transfer, uint32_t field);
_Noreturn void transfer_fail(struct transfer *transfer, struct failure failure);

// transfer_fail with errno and what it is about.
_Noreturn void transfer_fail_errno(struct transfer *transfer, const char *what, const char *name);

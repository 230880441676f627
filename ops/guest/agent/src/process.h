// The processes that the agent has started, which it reaps; as the init process, also those that nobody else does.
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

// Part of what it belongs to.
struct process {
  pid_t pid;
  // It is reaped: `status` is waitpid's.
  void (*ended)(struct process *process, int status);
  struct process *next, *previous;
};

// As fork, with the signals of a fresh process in the child. The parent's `process` must live until it has ended.
pid_t process_fork(struct process *process);

// The control group (version 2) that commands run in from now on; false with errno. It may have limits, of processes above all:
// what the agent itself needs is not counted there.
bool processes_use_group(const char *directory);

// As process_fork, in that group if there is one. EAGAIN: the group may have no more.
pid_t process_fork_command(struct process *process);

uint32_t process_count(void);

void processes_reap(void);

// SIGKILL to all processes of a session that was begun by `leader`, which has not been reaped.
void session_kill(pid_t leader);

// What children get back: the agent itself takes all the descriptors that it may have.
void raise_file_limit(void);

// To be called before the first signal is of interest.
void block_signals(void);

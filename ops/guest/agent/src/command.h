// What becomes of the forked child of an exec: it takes on streams, user, directory and environment, and executes.
#pragma once

#include "failure.h"

struct command {
  // Both end in NULL.
  char **arguments, **environment;
  const char *working_directory, *user;
  // The child's standard input, output and error.
  int streams[3];
  bool has_terminal;
  // It ends when the agent does.
  bool is_bound_to_agent;
  // Takes a struct failure, whole, if there is one. It is closed by a successful exec.
  int report;
};

_Noreturn void command_run(const struct command *command);

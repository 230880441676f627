#include "command.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "account.h"

#define DEFAULT_PATH "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
// HOME, PATH, TERM, and the end.
#define MAX_ADDED 4

static _Noreturn void refuse(const struct command *command, const struct failure *failure) {
  // It is shorter than PIPE_BUF: whole, and at once.
  (void)!write(command->report, failure, sizeof *failure);
  _exit(127);
}

// `field` is empty where nothing of the request is to blame.
static _Noreturn void refuse_errno(const struct command *command, const char *field, const char *name) {
  struct failure failure = failure_in(field, failure_of_errno(errno, "%s", name));
  refuse(command, &failure);
}

// --- streams -----------------------------------------------------------------------------------------

// Above the standard ones first, so that none is overwritten before it was copied.
static void take_streams(const struct command *command) {
  int above[3];
  for (int i = 0; i < 3; i++) {
    above[i] = fcntl(command->streams[i], F_DUPFD_CLOEXEC, 3);
    if (above[i] < 0) refuse_errno(command, "", "standard streams");
  }
  for (int i = 0; i < 3; i++) dup2(above[i], i);
}

static void take_terminal(const struct command *command, const struct account *account) {
  if (!command->has_terminal) return;
  if (ioctl(STDIN_FILENO, TIOCSCTTY, 0)) refuse_errno(command, "terminal", "terminal");
  // As login(1) does. Whether it is possible depends on how /dev/pts is mounted, and does not matter much.
  (void)!fchown(STDIN_FILENO, account->uid, (gid_t)-1);
  (void)fchmod(STDIN_FILENO, 0620);
}

// --- the user ----------------------------------------------------------------------------------------

static void become(const struct command *command, const struct account *account) {
  // Who is not root has what it is already, or nothing.
  bool is_already = geteuid() != 0 && geteuid() == account->uid && getegid() == account->gid;
  if (!is_already && (setgroups(account->group_count, account->groups) || setresgid(account->gid, account->gid, account->gid) ||
                      setresuid(account->uid, account->uid, account->uid))) {
    refuse_errno(command, "user", command->user);
  }
  // Reset by a change of user, so after it.
  if (command->is_bound_to_agent) prctl(PR_SET_PDEATHSIG, SIGKILL);
}

static void go_to_directory(const struct command *command, const struct account *account) {
  if (*command->working_directory) {
    if (chdir(command->working_directory)) refuse_errno(command, "working_directory", command->working_directory);
  } else if (account->home[0] != '/' || chdir(account->home)) {
    if (chdir("/")) refuse_errno(command, "working_directory", "/");
  }
}

// --- the environment ---------------------------------------------------------------------------------

static const char *value_of(char *const *environment, const char *name) {
  size_t length = strlen(name);
  for (; *environment; environment++) {
    if (!strncmp(*environment, name, length) && (*environment)[length] == '=') return *environment + length + 1;
  }
  return NULL;
}

static void check_environment(const struct command *command) {
  for (char **variable = command->environment; *variable; variable++) {
    const char *sign = strchr(*variable, '=');
    if (sign && sign != *variable) continue;
    struct failure failure = failure_in("environment", failure_of(Failure_INVALID, "\"%s\" is not NAME=value", *variable));
    refuse(command, &failure);
  }
}

static char **complete(const struct command *command, const struct account *account) {
  static char home[sizeof account->home + 8];
  size_t count = 0;
  while (command->environment[count]) count++;
  char **environment = malloc((count + MAX_ADDED) * sizeof *environment);
  if (!environment) refuse_errno(command, "", "environment");
  memcpy(environment, command->environment, (count + 1) * sizeof *environment);
  snprintf(home, sizeof home, "HOME=%s", account->home[0] ? account->home : "/");
  if (!value_of(command->environment, "PATH")) environment[count++] = DEFAULT_PATH;
  if (!value_of(command->environment, "HOME")) environment[count++] = home;
  if (command->has_terminal && !value_of(command->environment, "TERM")) environment[count++] = "TERM=xterm";
  environment[count] = NULL;
  return environment;
}

// --- the program -------------------------------------------------------------------------------------

// As execvp(3), by the command's own PATH. What was found and could not be executed says more than what was not found.
static void execute_in_path(char **arguments, char **environment) {
  char path[PATH_MAX];
  int error = ENOENT;
  const char *directories = value_of(environment, "PATH");
  for (const char *at = directories; at; at = strchr(at, ':') ? strchr(at, ':') + 1 : NULL) {
    int length = (int)strcspn(at, ":");
    int needed = snprintf(path, sizeof path, "%.*s%s%s", length, at, length ? "/" : "./", arguments[0]);
    if (needed < 0 || (size_t)needed >= sizeof path) continue;
    execve(path, arguments, environment);
    if (errno != ENOENT && errno != ENOTDIR) error = errno;
    if (error != ENOENT && error != EACCES) break;
  }
  errno = error;
}

static void execute(const struct command *command, char **environment) {
  if (strchr(command->arguments[0], '/')) {
    execve(command->arguments[0], command->arguments, environment);
  } else {
    execute_in_path(command->arguments, environment);
  }
  refuse_errno(command, "arguments", command->arguments[0]);
}

void command_run(const struct command *command) {
  static struct account account;
  struct failure failure;
  setsid();
  umask(022);
  take_streams(command);
  check_environment(command);
  if (!account_find(command->user, &account, &failure)) refuse(command, &failure);
  take_terminal(command, &account);
  char **environment = complete(command, &account);
  become(command, &account);
  go_to_directory(command, &account);
  execute(command, environment);
  _exit(127);
}

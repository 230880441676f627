#include "process.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/sched.h>

static struct process *processes;
static uint32_t count;
static struct rlimit inherited_files;
static int group = -1;

void block_signals(void) {
  sigset_t all;
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, NULL);
  signal(SIGPIPE, SIG_IGN);
}

void raise_file_limit(void) {
  if (getrlimit(RLIMIT_NOFILE, &inherited_files)) return;
  struct rlimit raised = {inherited_files.rlim_max, inherited_files.rlim_max};
  setrlimit(RLIMIT_NOFILE, &raised);
}

// --- starting ----------------------------------------------------------------------------------------

static void be_fresh(void) {
  sigset_t none;
  sigemptyset(&none);
  for (int number = 1; number <= SIGRTMAX; number++) signal(number, SIG_DFL);
  sigprocmask(SIG_SETMASK, &none, NULL);
  if (inherited_files.rlim_max > 0) setrlimit(RLIMIT_NOFILE, &inherited_files);
}

// In its group from the first moment: who is moved there afterwards is let in above the limit (cgroup-v2.rst, "PID").
static pid_t fork_into_group(void) {
  struct clone_args arguments = {.flags = CLONE_INTO_CGROUP, .exit_signal = SIGCHLD, .cgroup = (unsigned)group};
  return (pid_t)syscall(SYS_clone3, &arguments, sizeof arguments);
}

bool processes_use_group(const char *directory) {
  group = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
  return group >= 0;
}

static pid_t enter(struct process *process, pid_t pid) {
  if (pid == 0) be_fresh();
  if (pid <= 0) return pid;
  process->pid = pid;
  process->previous = NULL;
  process->next = processes;
  if (processes) processes->previous = process;
  processes = process;
  count++;
  return pid;
}

pid_t process_fork(struct process *process) {
  return enter(process, fork());
}

pid_t process_fork_command(struct process *process) {
  return enter(process, group < 0 ? fork() : fork_into_group());
}

uint32_t process_count(void) {
  return count;
}

// --- reaping -----------------------------------------------------------------------------------------

static struct process *find(pid_t pid) {
  struct process *process = processes;
  while (process && process->pid != pid) process = process->next;
  return process;
}

static void forget(struct process *process) {
  *(process->previous ? &process->previous->next : &processes) = process->next;
  if (process->next) process->next->previous = process->previous;
  count--;
}

void processes_reap(void) {
  int status;
  pid_t pid;
  while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
    struct process *process = find(pid);
    if (!process) continue;
    forget(process);
    process->ended(process, status);
  }
}

// --- sessions ----------------------------------------------------------------------------------------

// Of a process, by /proc/PID/stat; 0 if it is gone. A name may hold anything: what counts is behind its last bracket.
static pid_t session_of(const char *pid) {
  char path[64], text[1024];
  snprintf(path, sizeof path, "/proc/%.20s/stat", pid);
  int file = open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return 0;
  ssize_t length = read(file, text, sizeof text - 1);
  close(file);
  if (length <= 0) return 0;
  text[length] = 0;
  char *rest = strrchr(text, ')');
  int session;
  char state;
  if (!rest || sscanf(rest + 1, " %c %*d %*d %d", &state, &session) != 2 || state == 'Z') return 0;
  return session;
}

static bool kill_members(pid_t leader) {
  DIR *all = opendir("/proc");
  struct dirent *entry;
  bool found = false;
  while (all && (entry = readdir(all))) {
    if (!isdigit((unsigned char)entry->d_name[0]) || session_of(entry->d_name) != leader) continue;
    found = kill((pid_t)atoi(entry->d_name), SIGKILL) == 0 || found;
  }
  if (all) closedir(all);
  return found;
}

// A shell with job control gives each of its jobs a process group. Who forks while this looks is found by looking again; a
// process that has been killed and lives on in the kernel must not keep us.
void session_kill(pid_t leader) {
  enum { ROUNDS = 3 };
  kill(-leader, SIGKILL);
  kill(leader, SIGKILL);
  for (int round = 0; round < ROUNDS && kill_members(leader); round++) {
  }
}

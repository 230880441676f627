// Write: files into the guest. Below the path no symbolic link is followed, and a file is there when all of it is.
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "transfer.h"

#define MAX_DEPTH 128
#define HOW_TO_OPEN_DIRECTORY (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)

// A directory that entries are being made in. It gets its time when that is over.
struct level {
  int directory;
  // Of its path.
  size_t length;
  int64_t modification_time;
  bool has_time;
};

static struct {
  struct transfer *transfer;
  // Of the request, for people.
  const char *root;
  // Where the entry without a path is made, and as what; -1: no such entry may come.
  int directory_of_root;
  char name_of_root[NAME_MAX + 1];
  // The first is what paths are relative to; the others are the directories that led to the last entry, `path`.
  struct level levels[MAX_DEPTH + 1];
  size_t level_count;
  char path[PATH_MAX];
  // The entry that came last.
  struct file_entry entry;
  char entry_path[PATH_MAX];
  // The file that is being written; -1: none is.
  int file, directory_of_file;
  char temporary[NAME_MAX + 1], name[NAME_MAX + 1];
  uint64_t left;
} writing = {.directory_of_root = -1, .file = -1, .directory_of_file = -1};

static _Noreturn void fail_errno(void) {
  int error = errno;
  const char *slash = writing.entry_path[0] ? "/" : "";
  transfer_fail(writing.transfer, failure_of_errno(error, "%s%s%s", writing.root, slash, writing.entry_path));
}

static _Noreturn void fail(const char *what) {
  const char *slash = writing.entry_path[0] ? "/" : "";
  transfer_fail(writing.transfer, failure_of(Failure_INVALID, "%s%s%s: %s", writing.root, slash, writing.entry_path, what));
}

// --- directories -------------------------------------------------------------------------------------

static void leave_directory(void) {
  struct level *level = &writing.levels[--writing.level_count];
  struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = level->modification_time}};
  if (level->has_time) futimens(level->directory, times);
  close(level->directory);
}

// Takes the descriptor.
static void enter_directory(int directory, bool has_time) {
  if (writing.level_count > MAX_DEPTH) fail("more than 128 directories deep");
  strcpy(writing.path, writing.entry_path);
  writing.levels[writing.level_count++] = (struct level){
    .directory = directory,
    .length = strlen(writing.path),
    .modification_time = (int64_t)writing.entry.modification_time,
    .has_time = has_time,
  };
}

static bool is_below(const char *path, const struct level *level) {
  return level->length == 0 || (!strncmp(path, writing.path, level->length) && path[level->length] == '/');
}

// Opens the next part of a path; takes the descriptor.
static int descend(int directory, const char *name) {
  int next = openat(directory, name, HOW_TO_OPEN_DIRECTORY);
  if (next < 0) fail_errno();
  close(directory);
  return next;
}

// The directory that the entry is to be made in, and its name there. The descriptor is the caller's.
static int find_place(char name[NAME_MAX + 1]) {
  while (writing.level_count > 1 && !is_below(writing.entry_path, &writing.levels[writing.level_count - 1])) leave_directory();
  const struct level *level = &writing.levels[writing.level_count - 1];
  const char *rest = writing.entry_path + level->length + (level->length > 0);
  int directory = fcntl(level->directory, F_DUPFD_CLOEXEC, 0);
  if (directory < 0) fail_errno();
  for (;;) {
    size_t length = strcspn(rest, "/");
    if (length > NAME_MAX) fail("a name of more than 255 bytes");
    memcpy(name, rest, length);
    name[length] = 0;
    if (!rest[length]) return directory;
    directory = descend(directory, name);
    rest += length + 1;
  }
}

// --- entries -----------------------------------------------------------------------------------------

static void make_temporary_name(char name[NAME_MAX + 1]) {
  uint64_t number;
  if (getrandom(&number, sizeof number, 0) != sizeof number) fail_errno();
  snprintf(name, NAME_MAX + 1, ".vireo-%016llx", (unsigned long long)number);
}

static void set_owner_and_mode(int file) {
  // In this order: a change of the owner takes set-uid away.
  if (fchown(file, writing.entry.uid, writing.entry.gid) || fchmod(file, writing.entry.mode)) fail_errno();
}

static void make_directory(int parent, const char *name) {
  if (mkdirat(parent, name, 0700) && errno != EEXIST) fail_errno();
  int directory = openat(parent, name, HOW_TO_OPEN_DIRECTORY);
  if (directory < 0) fail_errno();
  set_owner_and_mode(directory);
  enter_directory(directory, true);
}

static void remove_temporary(void) {
  unlinkat(writing.directory_of_file, writing.temporary, 0);
}

static void put_in_place(void) {
  if (renameat(writing.directory_of_file, writing.temporary, writing.directory_of_file, writing.name)) fail_errno();
  writing.transfer->undo = NULL;
  close(writing.directory_of_file);
  writing.directory_of_file = -1;
}

static void begin_temporary(int directory, const char *name) {
  writing.directory_of_file = fcntl(directory, F_DUPFD_CLOEXEC, 0);
  if (writing.directory_of_file < 0) fail_errno();
  strcpy(writing.name, name);
  make_temporary_name(writing.temporary);
}

static void make_link(int directory, const char *name) {
  char target[PATH_MAX];
  struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = (time_t)writing.entry.modification_time}};
  if (writing.entry.link_target.length == 0 || !slice_copy(writing.entry.link_target, target, sizeof target)) {
    fail("a link without a target, or with one of more than 4,095 bytes");
  }
  begin_temporary(directory, name);
  if (symlinkat(target, directory, writing.temporary)) fail_errno();
  writing.transfer->undo = remove_temporary;
  if (fchownat(directory, writing.temporary, writing.entry.uid, writing.entry.gid, AT_SYMLINK_NOFOLLOW) ||
      utimensat(directory, writing.temporary, times, AT_SYMLINK_NOFOLLOW)) {
    fail_errno();
  }
  put_in_place();
}

static void finish_file(void) {
  struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = (time_t)writing.entry.modification_time}};
  set_owner_and_mode(writing.file);
  if (futimens(writing.file, times)) fail_errno();
  // Some file systems say only now that there was no space.
  if (close(writing.file)) fail_errno();
  writing.file = -1;
  put_in_place();
}

static void begin_file(int directory, const char *name) {
  begin_temporary(directory, name);
  writing.file = openat(directory, writing.temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (writing.file < 0) fail_errno();
  writing.transfer->undo = remove_temporary;
  writing.left = writing.entry.size;
  if (writing.left == 0) finish_file();
}

static void take_data(struct slice data) {
  if (writing.file < 0 || data.length > writing.left) fail("more content than its size says");
  writing.left -= data.length;
  while (data.length > 0) {
    ssize_t written = write(writing.file, data.bytes, data.length);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail_errno();
    data = (struct slice){data.bytes + written, data.length - (size_t)written};
  }
  if (writing.left == 0) finish_file();
}

// --- messages ----------------------------------------------------------------------------------------

static bool is_relative(const char *path) {
  for (;;) {
    size_t length = strcspn(path, "/");
    bool is_special = length == 0 || (length == 1 && path[0] == '.') || (length == 2 && !strncmp(path, "..", 2));
    if (is_special) return false;
    if (!path[length]) return true;
    path += length + 1;
  }
}

static void make_entry(int directory, const char *name) {
  switch (writing.entry.type) {
    case FileEntry_REGULAR: begin_file(directory, name); break;
    case FileEntry_DIRECTORY: make_directory(directory, name); break;
    case FileEntry_SYMBOLIC_LINK: make_link(directory, name); break;
    default: fail("neither a regular file, a directory nor a symbolic link");
  }
}

static void make_root(void) {
  if (writing.directory_of_root < 0) fail("there can be no entry without a path here");
  make_entry(writing.directory_of_root, writing.name_of_root);
  close(writing.directory_of_root);
  writing.directory_of_root = -1;
}

static void take_entry(const struct file_entry *entry) {
  char name[NAME_MAX + 1];
  if (writing.file >= 0) fail("less content than its size says");
  writing.entry = *entry;
  if (!slice_copy(entry->path, writing.entry_path, sizeof writing.entry_path)) fail("a path of more than 4,095 bytes");
  if (entry->mode > 07777) fail("mode: more than 07777");
  if (!writing.entry_path[0]) {
    make_root();
    return;
  }
  if (!is_relative(writing.entry_path)) fail("not a relative path without empty parts, \".\" and \"..\"");
  if (writing.level_count == 0) fail("the first entry must be that without a path, and a directory if others follow");
  int directory = find_place(name);
  make_entry(directory, name);
  close(directory);
}

static _Noreturn void end(void) {
  if (writing.file >= 0) fail("less content than its size says");
  while (writing.level_count > 0) leave_directory();
  transfer_finish(writing.transfer, AgentMessage_done);
}

// --- the beginning -----------------------------------------------------------------------------------

// Splits the path in where the root is made, up to which links are followed, and its name there.
static void open_parent(const char *path) {
  char parent[PATH_MAX];
  strcpy(parent, path);
  size_t length = strlen(parent);
  while (length > 1 && parent[length - 1] == '/') parent[--length] = 0;
  char *slash = strrchr(parent, '/');
  const char *name = slash[1] ? slash + 1 : ".";
  if (strlen(name) > NAME_MAX || !strcmp(name, "..")) fail("no name for a file");
  strcpy(writing.name_of_root, name);
  slash[slash == parent] = 0;
  writing.directory_of_root = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (writing.directory_of_root < 0) fail_errno();
}

static void open_directory(const char *path) {
  int directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (directory < 0) fail_errno();
  enter_directory(directory, false);
}

static void take_tree(struct transfer *transfer, const char *path, bool into_directory) {
  struct host_message message;
  writing.transfer = transfer;
  writing.root = path;
  umask(0);
  if (into_directory) {
    open_directory(path);
  } else {
    open_parent(path);
  }
  for (;;) {
    transfer_receive(transfer, &message);
    switch (message.type) {
      case HostMessage_entry: take_entry(&message.entry); break;
      case HostMessage_data: take_data(message.data); break;
      case HostMessage_end: end();
      default: fail("a message that is out of turn");
    }
  }
}

void write_begin(struct connection *connection, const struct write_request *request) {
  transfer_begin(connection, request->path, take_tree, request->into_directory);
}

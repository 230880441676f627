// Read: files out of the guest. What is neither a regular file, a directory nor a symbolic link is passed over below the path.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "transfer.h"

#define MAX_DEPTH 128
// A fifo or device that has come in a file's place must not make us wait.
#define HOW_TO_OPEN (O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)

struct tree {
  struct transfer *transfer;
  // Of the request, for people.
  const char *root;
  // Of what is at hand, relative to it.
  char path[PATH_MAX];
  unsigned depth;
};

static _Noreturn void fail_errno(struct tree *tree) {
  int error = errno;
  const char *slash = tree->path[0] ? "/" : "";
  transfer_fail(tree->transfer, failure_of_errno(error, "%s%s%s", tree->root, slash, tree->path));
}

static _Noreturn void fail(struct tree *tree, uint32_t code, const char *what) {
  const char *slash = tree->path[0] ? "/" : "";
  transfer_fail(tree->transfer, failure_of(code, "%s%s%s: %s", tree->root, slash, tree->path, what));
}

static void send_entry(struct tree *tree, uint32_t type, const struct stat *about, const char *target) {
  struct message message = {0};
  put_text(&message, FileEntry_path, tree->path);
  put_number(&message, FileEntry_type, type);
  put_number(&message, FileEntry_mode, about->st_mode & 07777);
  put_number(&message, FileEntry_uid, about->st_uid);
  put_number(&message, FileEntry_gid, about->st_gid);
  put_number(&message, FileEntry_modification_time, (uint64_t)about->st_mtim.tv_sec);
  if (type == FileEntry_REGULAR) put_number(&message, FileEntry_size, (uint64_t)about->st_size);
  put_text(&message, FileEntry_link_target, target);
  transfer_send(tree->transfer, AgentMessage_entry, &message);
}

// Exactly as much as was announced, whatever becomes of the file meanwhile.
static void send_file(struct tree *tree, int file, const struct stat *about) {
  send_entry(tree, FileEntry_REGULAR, about, "");
  for (uint64_t left = (uint64_t)about->st_size; left > 0;) {
    ssize_t sent = transfer_send_file(tree->transfer, file, left < MAX_DATA ? (size_t)left : MAX_DATA);
    if (sent < 0) fail_errno(tree);
    if (sent == 0) fail(tree, Failure_FAILED, "has become shorter while it was read");
    left -= (uint64_t)sent;
  }
  close(file);
}

static void send_link(struct tree *tree, int directory, const char *name, const struct stat *about) {
  char target[PATH_MAX];
  ssize_t length = readlinkat(directory, name, target, sizeof target - 1);
  if (length < 0) fail_errno(tree);
  target[length] = 0;
  if (!is_text((struct slice){(uint8_t *)target, (size_t)length})) fail(tree, Failure_INVALID, "its target is not UTF-8");
  send_entry(tree, FileEntry_SYMBOLIC_LINK, about, target);
}

static void send_directory(struct tree *tree, int directory, const struct stat *about);

// What it is called is looked at before it is opened, since opening a device can do something, and afterwards, since it may be
// another by then.
static void send_named(struct tree *tree, int directory, const char *name) {
  struct stat about;
  if (fstatat(directory, name, &about, AT_SYMLINK_NOFOLLOW)) {
    // Removed since it was listed.
    if (errno == ENOENT) return;
    fail_errno(tree);
  }
  if (S_ISLNK(about.st_mode)) send_link(tree, directory, name, &about);
  if (!S_ISREG(about.st_mode) && !S_ISDIR(about.st_mode)) return;
  int file = openat(directory, name, HOW_TO_OPEN | O_NOFOLLOW);
  if (file < 0 && errno == ENOENT) return;
  if (file < 0 || fstat(file, &about)) fail_errno(tree);
  if (S_ISREG(about.st_mode)) {
    send_file(tree, file, &about);
  } else if (S_ISDIR(about.st_mode)) {
    send_directory(tree, file, &about);
  } else {
    close(file);
  }
}

static void append_name(struct tree *tree, size_t length, const char *name) {
  size_t slash = length > 0;
  if (length + slash + strlen(name) >= sizeof tree->path) fail(tree, Failure_INVALID, "holds a path of more than 4,095 bytes");
  if (slash) tree->path[length] = '/';
  strcpy(tree->path + length + slash, name);
  if (!is_text((struct slice){(const uint8_t *)name, strlen(name)})) fail(tree, Failure_INVALID, "its name is not UTF-8");
}

static void send_directory(struct tree *tree, int directory, const struct stat *about) {
  send_entry(tree, FileEntry_DIRECTORY, about, "");
  if (tree->depth == MAX_DEPTH) fail(tree, Failure_INVALID, "more than 128 directories deep");
  tree->depth++;
  size_t length = strlen(tree->path);
  DIR *listing = fdopendir(directory);
  if (!listing) fail_errno(tree);
  struct dirent *entry;
  while (errno = 0, (entry = readdir(listing))) {
    if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..")) continue;
    append_name(tree, length, entry->d_name);
    send_named(tree, directory, entry->d_name);
    tree->path[length] = 0;
  }
  if (errno) fail_errno(tree);
  closedir(listing);
  tree->depth--;
}

static void send_tree(struct transfer *transfer, const char *path, bool flag) {
  (void)flag;
  static struct tree tree;
  struct stat about;
  tree.transfer = transfer;
  tree.root = path;
  if (stat(path, &about)) fail_errno(&tree);
  if (!S_ISREG(about.st_mode) && !S_ISDIR(about.st_mode)) fail(&tree, Failure_INVALID, "neither a regular file nor a directory");
  int file = open(path, HOW_TO_OPEN);
  if (file < 0 || fstat(file, &about)) fail_errno(&tree);
  if (S_ISDIR(about.st_mode)) {
    send_directory(&tree, file, &about);
  } else if (S_ISREG(about.st_mode)) {
    send_file(&tree, file, &about);
  } else {
    fail(&tree, Failure_INVALID, "neither a regular file nor a directory");
  }
  transfer_finish(transfer, AgentMessage_end);
}

void read_begin(struct connection *connection, struct slice path) {
  transfer_begin(connection, path, send_tree, false);
}

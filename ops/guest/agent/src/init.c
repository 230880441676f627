#include "init.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <net/if.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include <linux/fs.h>
#include <linux/input.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#include "connection.h"
#include "loop.h"
#include "network.h"
#include "process.h"

// What the power button and SIGTERM leave a guest's processes.
#define DEFAULT_GRACE_MS 5000
// From SIGKILL to going on without those that do not end.
#define KILL_MS 2000
#define LAST_WORDS_MS 500
#define LOOK_AGAIN_MS 10
#define MAX_DISK_MS 5000
#define MAX_BUTTONS 8
// As guests know it from clouds.
#define METADATA_HOST "169.254.169.254"

// Where the initramfs has what the new root is made of.
#define LOWER "/vireo/lower"
#define SCRATCH "/vireo/scratch"
#define ROOT "/vireo/root"

// The initramfs, once it is the root no more.
static int old_root = -1;

bool is_init(void) {
  return getpid() == 1;
}

static void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void say(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  dprintf(STDERR_FILENO, "vireo-agent: ");
  vdprintf(STDERR_FILENO, format, arguments);
  dprintf(STDERR_FILENO, "\n");
  va_end(arguments);
}

static void sleep_ms(long ms) {
  nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000}, NULL);
}

// --- powering off ------------------------------------------------------------------------------------

// Until there are no processes but this one, or for this long.
static bool await_no_processes(uint32_t most_ms) {
  uint64_t end_ns = now_ns() + (uint64_t)most_ms * 1000000;
  for (;;) {
    pid_t pid = waitpid(-1, NULL, WNOHANG);
    if (pid < 0 && errno == ECHILD) return true;
    if (pid > 0) continue;
    if (now_ns() >= end_ns) return false;
    sleep_ms(10);
  }
}

static void end_processes(void) {
  kill(-1, SIGKILL);
  if (!await_no_processes(KILL_MS)) say("some processes do not end; going on without them");
}

// Those that were mounted last come first.
static void unmount_all(void) {
  enum { MAX_MOUNTS = 256 };
  static char targets[MAX_MOUNTS][256];
  size_t count = 0;
  FILE *mounts = fopen("/proc/self/mounts", "re");
  while (mounts && count < MAX_MOUNTS && fscanf(mounts, "%*s %255s%*[^\n]", targets[count]) == 1) count++;
  if (mounts) fclose(mounts);
  while (count-- > 0) {
    const char *target = targets[count];
    bool is_needed = !strcmp(target, "/") || !strcmp(target, "/dev") || !strcmp(target, "/proc");
    if (!is_needed) umount2(target, UMOUNT_NOFOLLOW);
  }
}

static void make_read_only(const char *target) {
  mount(NULL, target, NULL, MS_REMOUNT | MS_RDONLY, NULL);
}

static _Noreturn void power_off(void) {
  sync();
  unmount_all();
  make_read_only("/");
  // What was written went to the scratch disk, which the old root alone can name.
  if (old_root >= 0 && fchdir(old_root) == 0 && chroot(".") == 0) make_read_only(SCRATCH);
  sync();
  // The last words must have left the port before the power goes.
  tcdrain(STDERR_FILENO);
  reboot(RB_POWER_OFF);
  reboot((int)RB_HALT_SYSTEM);
  for (;;) pause();
}

// What goes on meanwhile: what they say last, and how each has ended, is carried away as before.
static struct timer ending;
static uint64_t mercy_ends_ns, words_end_ns;

static bool has_processes(void) {
  siginfo_t about;
  return waitid(P_ALL, 0, &about, WEXITED | WNOHANG | WNOWAIT) == 0 || errno != ECHILD;
}

static void go_on_ending(struct timer *timer) {
  if (has_processes() && now_ns() < mercy_ends_ns) {
    words_end_ns = now_ns() + (uint64_t)LAST_WORDS_MS * 1000000;
    timer_set(timer, LOOK_AGAIN_MS);
  } else if (connections_open() > 0 && now_ns() < words_end_ns) {
    timer_set(timer, LOOK_AGAIN_MS);
  } else {
    end_processes();
    power_off();
  }
}

void init_shut_down(uint32_t grace_ms) {
  if (ending.is_set) return;
  say("powering off");
  kill(-1, SIGTERM);
  // Those that are stopped hear it too.
  kill(-1, SIGCONT);
  mercy_ends_ns = now_ns() + (uint64_t)grace_ms * 1000000;
  words_end_ns = now_ns() + (uint64_t)LAST_WORDS_MS * 1000000;
  ending.due = go_on_ending;
  timer_set(&ending, 0);
}

void init_give_up(const char *format, ...) {
  va_list arguments;
  char text[1024];
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  say("error: %s; powering off", text);
  end_processes();
  power_off();
}

// --- the power button --------------------------------------------------------------------------------

static struct watch buttons[MAX_BUTTONS];

static void heed_button(struct watch *watch, uint32_t events) {
  (void)events;
  struct input_event event;
  ssize_t length = read(watch->fd, &event, sizeof event);
  if (length < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (length != sizeof event) {
    watch_close(watch);
  } else if (event.type == EV_KEY && event.code == KEY_POWER && event.value == 1) {
    init_shut_down(DEFAULT_GRACE_MS);
  }
}

void init_watch_power_button(void) {
  size_t count = 0;
  DIR *devices = opendir("/dev/input");
  struct dirent *entry;
  while (devices && count < MAX_BUTTONS && (entry = readdir(devices))) {
    if (strncmp(entry->d_name, "event", 5)) continue;
    int device = openat(dirfd(devices), entry->d_name, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (device < 0) continue;
    buttons[count] = (struct watch){.fd = device, .ready = heed_button};
    watch_for(&buttons[count++], EPOLLIN);
  }
  if (devices) closedir(devices);
  if (count == 0) say("no power button: the kernel has no /dev/input/event*, which its evdev driver makes");
}

// --- the kernel's file systems -----------------------------------------------------------------------

static void make_directory(const char *path, mode_t mode) {
  if (mkdir(path, mode) == 0) chmod(path, mode);
}

// A kernel may have mounted it before.
static void mount_at(const char *type, const char *target, unsigned long flags, const char *options) {
  make_directory(target, 0755);
  if (mount(type, target, type, flags, options) && errno != EBUSY) say("cannot mount %s at %s: %s", type, target, strerror(errno));
}

static void mount_kernel_file_systems(void) {
  mount_at("proc", "/proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
  mount_at("sysfs", "/sys", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
  mount_at("devtmpfs", "/dev", MS_NOSUID, "mode=0755");
  mount_at("tmpfs", "/run", MS_NOSUID | MS_NODEV, "mode=0755");
}

static void mount_devices(void) {
  mount_at("devpts", "/dev/pts", MS_NOSUID | MS_NOEXEC, "gid=5,mode=0620,ptmxmode=0666");
  mount_at("tmpfs", "/dev/shm", MS_NOSUID | MS_NODEV, "mode=1777");
  mount_at("cgroup2", "/sys/fs/cgroup", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
  (void)!symlink("/proc/self/fd", "/dev/fd");
  (void)!symlink("fd/0", "/dev/stdin");
  (void)!symlink("fd/1", "/dev/stdout");
  (void)!symlink("fd/2", "/dev/stderr");
}

// An initramfs without /dev/console leaves init without standard streams.
static void open_console(void) {
  if (fcntl(STDERR_FILENO, F_GETFD) >= 0) return;
  int console = open("/dev/console", O_RDWR | O_NOCTTY);
  for (int i = 0; i < 3 && console >= 0; i++) {
    if (console != i) dup2(console, i);
  }
  if (console > STDERR_FILENO) close(console);
}

static void load_module(const char *path) {
  int file = open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0 || (syscall(SYS_finit_module, file, "", 0) && errno != EEXIST)) {
    say("cannot load %s: %s", path, strerror(errno));
  }
  if (file >= 0) close(file);
}

// One path a line, each after those that it needs.
static void load_modules(void) {
  FILE *list = fopen("/lib/vireo/modules", "re");
  char path[PATH_MAX];
  while (list && fgets(path, sizeof path, list)) {
    path[strcspn(path, "\n")] = 0;
    load_module(path);
  }
  if (list) fclose(list);
}

// --- the limit of processes --------------------------------------------------------------------------

#define GROUPS "/sys/fs/cgroup"
#define COMMANDS GROUPS "/vireo"

static bool tell_kernel(const char *path, const char *text) {
  int file = open(path, O_WRONLY | O_CLOEXEC);
  if (file < 0) return false;
  bool is_told = write(file, text, strlen(text)) == (ssize_t)strlen(text);
  close(file);
  return is_told;
}

// By control groups: RLIMIT_NPROC is nothing to root, and counts a user's processes, not a guest's. A limit that cannot be set
// was promised all the same.
static void limit_commands(const char *most) {
  make_directory(COMMANDS, 0755);
  if (tell_kernel(GROUPS "/cgroup.subtree_control", "+pids") && tell_kernel(COMMANDS "/pids.max", most) && processes_use_group(COMMANDS)) return;
  init_give_up("no limit of %s processes: %s: does the kernel have CONFIG_CGROUP_PIDS?", most, strerror(errno));
}

// --- the root ----------------------------------------------------------------------------------------

// A disk as the kernel's command line names it: SERIAL,FSTYPE.
struct disk {
  char serial[64], type[64];
  char device[PATH_MAX];
};

// The last of the kernel's arguments with this name; false without one.
static bool kernel_argument(const char *name, char *value, size_t room) {
  static char line[8192];
  size_t length = strlen(name);
  bool is_found = false;
  FILE *file = fopen("/proc/cmdline", "re");
  if (!file || !fgets(line, sizeof line, file)) line[0] = 0;
  if (file) fclose(file);
  for (char *rest = line, *word; (word = strsep(&rest, " \n"));) {
    if (strncmp(word, name, length) || word[length] != '=') continue;
    snprintf(value, room, "%s", word + length + 1);
    is_found = true;
  }
  return is_found;
}

// A virtio disk's serial has no end if it is 20 bytes long (VIRTIO 1.2, section 5.2.6.1, VIRTIO_BLK_T_GET_ID).
static bool has_serial(const char *name, const char *serial) {
  char path[PATH_MAX], text[64] = "";
  snprintf(path, sizeof path, "/sys/block/%s/serial", name);
  FILE *file = fopen(path, "re");
  bool is_read = file && fgets(text, sizeof text, file);
  if (file) fclose(file);
  text[strcspn(text, "\n")] = 0;
  return is_read && !strcmp(text, serial);
}

static bool find_disk(struct disk *disk) {
  DIR *disks = opendir("/sys/block");
  struct dirent *entry;
  bool is_found = false;
  while (disks && !is_found && (entry = readdir(disks))) {
    is_found = has_serial(entry->d_name, disk->serial);
    if (is_found) snprintf(disk->device, sizeof disk->device, "/dev/%s", entry->d_name);
  }
  if (disks) closedir(disks);
  return is_found && access(disk->device, F_OK) == 0;
}

// False if the command line does not name one.
static bool named_disk(const char *argument, struct disk *disk) {
  char value[64];
  if (!kernel_argument(argument, value, sizeof value)) return false;
  char *comma = strchr(value, ',');
  if (!comma || comma == value || !comma[1]) init_give_up("%s=%s: write it as %s=SERIAL,FSTYPE", argument, value, argument);
  *comma = 0;
  snprintf(disk->serial, sizeof disk->serial, "%s", value);
  snprintf(disk->type, sizeof disk->type, "%s", comma + 1);
  uint64_t end_ns = now_ns() + (uint64_t)MAX_DISK_MS * 1000000;
  while (!find_disk(disk)) {
    if (now_ns() > end_ns) {
      init_give_up("%s: no virtio disk has the serial \"%s\": see to it that the microVM has a disk of this id, and the initramfs virtio_blk",
                   argument, disk->serial);
    }
    sleep_ms(20);
  }
  return true;
}

static void mount_disk(const struct disk *disk, const char *target, unsigned long flags) {
  if (mount(disk->device, target, disk->type, flags, NULL) == 0) return;
  init_give_up("cannot mount %s (serial \"%s\") as %s: %s: see to it that the disk has such a file system, and the kernel the driver",
               disk->device, disk->serial, disk->type, strerror(errno));
}

// Of musl's ioctl a request is an int, of glibc's an unsigned long; these two are neither.
static long control(int fd, unsigned long request, uint64_t *value) { return syscall(SYS_ioctl, fd, request, value); }

// A node lays the same small file system on disks of all sizes. One that cannot grow is one all the same.
static void grow_file_system(const struct disk *disk) {
  uint64_t bytes, blocks;
  struct statfs about;
  int device = open(disk->device, O_RDONLY | O_CLOEXEC);
  int root = open(SCRATCH, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (device < 0 || root < 0 || control(device, BLKGETSIZE64, &bytes) || fstatfs(root, &about)) {
    say("%s: its size is not known: %s", disk->device, strerror(errno));
  } else {
    blocks = bytes / (uint64_t)about.f_bsize;
    // linux/ext4.h, which Debian does not package for programs.
    if (control(root, _IOW('f', 16, uint64_t), &blocks)) {
      say("the file system on %s does not grow to %llu blocks: %s", disk->device, (unsigned long long)blocks, strerror(errno));
    }
  }
  if (device >= 0) close(device);
  if (root >= 0) close(root);
}

static void mount_root(const struct disk *lower) {
  struct disk scratch;
  make_directory("/vireo", 0700);
  make_directory(LOWER, 0755);
  make_directory(SCRATCH, 0755);
  make_directory(ROOT, 0755);
  mount_disk(lower, LOWER, MS_RDONLY);
  if (named_disk("vireo.scratch", &scratch)) {
    mount_disk(&scratch, SCRATCH, MS_NOATIME);
    if (!strcmp(scratch.type, "ext4")) grow_file_system(&scratch);
  } else if (mount("tmpfs", SCRATCH, "tmpfs", 0, "mode=0755")) {
    init_give_up("no tmpfs for the root's upper layer: %s", strerror(errno));
  }
  make_directory(SCRATCH "/upper", 0755);
  make_directory(SCRATCH "/work", 0755);
  if (mount("overlay", ROOT, "overlay", 0, "lowerdir=" LOWER ",upperdir=" SCRATCH "/upper,workdir=" SCRATCH "/work")) {
    init_give_up("cannot lay the scratch over the root: %s: does the kernel have overlayfs?", strerror(errno));
  }
}

// What the initramfs holds is memory. The program that runs keeps its own.
static void remove_files(int directory, dev_t device) {
  DIR *listing = fdopendir(directory);
  struct dirent *entry;
  struct stat about;
  while (listing && (entry = readdir(listing))) {
    const char *name = entry->d_name;
    if (!strcmp(name, ".") || !strcmp(name, "..") || fstatat(directory, name, &about, AT_SYMLINK_NOFOLLOW)) continue;
    if (about.st_dev != device || !strcmp(name, "vireo")) continue;
    if (!S_ISDIR(about.st_mode)) {
      unlinkat(directory, name, 0);
      continue;
    }
    int below = openat(directory, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (below >= 0) remove_files(below, device);
    unlinkat(directory, name, AT_REMOVEDIR);
  }
  if (listing) closedir(listing);
}

static void move_to_root(const char *from, const char *to) {
  make_directory(to, 0755);
  if (mount(from, to, NULL, MS_MOVE, NULL)) init_give_up("cannot move %s to the new root: %s", from, strerror(errno));
}

static void empty_initramfs(void) {
  struct stat about;
  int root = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (root >= 0 && fstat(root, &about) == 0) remove_files(root, about.st_dev);
}

// As switch_root(8).
static void switch_root(void) {
  move_to_root("/proc", ROOT "/proc");
  move_to_root("/sys", ROOT "/sys");
  move_to_root("/dev", ROOT "/dev");
  move_to_root("/run", ROOT "/run");
  empty_initramfs();
  old_root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (chdir(ROOT) || mount(".", "/", NULL, MS_MOVE, NULL) || chroot(".") || chdir("/")) {
    init_give_up("cannot change to the new root: %s", strerror(errno));
  }
}

// --- the rest of the machine -------------------------------------------------------------------------

static void write_if_missing(const char *path, const char *text) {
  // A link that leads nowhere counts as there.
  int file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
  if (file < 0) return;
  (void)!write(file, text, strlen(text));
  close(file);
}

// What the kernel was told by its argument "ip=", in resolv.conf's format.
static void name_servers(char *text, size_t room) {
  text[0] = 0;
  FILE *file = fopen("/proc/net/pnp", "re");
  if (file) text[fread(text, 1, room - 1, file)] = 0;
  if (file) fclose(file);
}

static void set_host_name(void) {
  char name[HOST_NAME_MAX + 1] = "";
  FILE *file = fopen("/etc/hostname", "re");
  if (file && fgets(name, sizeof name, file)) name[strcspn(name, "\n")] = 0;
  if (file) fclose(file);
  if (name[0]) sethostname(name, strlen(name));
}

static void complete_etc(void) {
  char servers[4096];
  name_servers(servers, sizeof servers);
  make_directory("/etc", 0755);
  write_if_missing("/etc/hosts", "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n");
  write_if_missing("/etc/hostname", "vireo\n");
  write_if_missing("/etc/resolv.conf", servers);
  set_host_name();
}

static void bring_up_loopback(void) {
  struct ifreq request = {.ifr_name = "lo"};
  int any = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (any >= 0 && ioctl(any, SIOCGIFFLAGS, &request) == 0) {
    request.ifr_flags |= IFF_UP;
    ioctl(any, SIOCSIFFLAGS, &request);
  }
  if (any >= 0) close(any);
}

// At once with its prefix and scope, which ioctl(2) cannot: it would be a whole class B network for a moment, and the source
// address of what leaves by interfaces that have none.
static bool add_loopback_address(const char *text) {
  struct {
    struct nlmsghdr header;
    struct ifaddrmsg about;
    struct rtattr attribute;
    struct in_addr address;
  } request = {
      .header = {.nlmsg_len = sizeof request, .nlmsg_type = RTM_NEWADDR, .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE},
      .about = {.ifa_family = AF_INET, .ifa_prefixlen = 32, .ifa_scope = RT_SCOPE_HOST, .ifa_index = if_nametoindex("lo")},
      .attribute = {.rta_len = RTA_LENGTH(sizeof request.address), .rta_type = IFA_LOCAL},
  };
  struct {
    struct nlmsghdr header;
    struct nlmsgerr error;
  } answer = {.error.error = -EPROTO};
  inet_pton(AF_INET, text, &request.address);
  int kernel = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
  if (kernel < 0) return false;
  if (send(kernel, &request, sizeof request, 0) > 0) recv(kernel, &answer, sizeof answer, 0);
  close(kernel);
  errno = -answer.error.error;
  return errno == 0 || errno == EEXIST;
}

bool init_has_metadata(void) {
  char value[8];
  if (!kernel_argument("vireo.metadata", value, sizeof value) || strcmp(value, "1")) return false;
  if (!add_loopback_address(METADATA_HOST)) say("no address for the metadata service: %s", strerror(errno));
  return true;
}

void init_boot(void) {
  struct disk root;
  char network[128], processes[16];
  umask(022);
  mount_kernel_file_systems();
  open_console();
  load_modules();
  if (named_disk("vireo.root", &root)) {
    mount_root(&root);
    switch_root();
  }
  mount_devices();
  if (kernel_argument("vireo.pids", processes, sizeof processes)) limit_commands(processes);
  make_directory("/tmp", 01777);
  complete_etc();
  bring_up_loopback();
  if (kernel_argument("vireo.net", network, sizeof network)) network_configure(network);
  // Ctrl-Alt-Del is a signal, too.
  reboot(RB_DISABLE_CAD);
}

#include "network.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <net/if.h>
#include <net/route.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "init.h"
#include "loop.h"

// A driver takes its time.
#define MAX_INTERFACE_MS 5000
#define MAX_MTU 65535

struct network {
  char mac[18], interface[IFNAMSIZ];
  struct in_addr address, gateway;
  int mtu;
};

static bool parse(const char *argument, struct network *network) {
  char address[INET_ADDRSTRLEN], gateway[INET_ADDRSTRLEN];
  int end = 0;
  bool is_whole = sscanf(argument, "%17[0-9a-fA-F:],%15[0-9.],%15[0-9.],%d%n", network->mac, address, gateway, &network->mtu, &end) == 4;
  return is_whole && !argument[end] && network->mtu >= 0 && network->mtu <= MAX_MTU &&
         inet_pton(AF_INET, address, &network->address) == 1 && inet_pton(AF_INET, gateway, &network->gateway) == 1;
}

static bool has_mac(const char *interface, const char *mac) {
  char path[PATH_MAX], text[32] = "";
  snprintf(path, sizeof path, "/sys/class/net/%s/address", interface);
  FILE *file = fopen(path, "re");
  bool is_read = file && fgets(text, sizeof text, file);
  if (file) fclose(file);
  text[strcspn(text, "\n")] = 0;
  return is_read && !strcasecmp(text, mac);
}

static bool find_interface(struct network *network) {
  DIR *interfaces = opendir("/sys/class/net");
  struct dirent *entry;
  bool is_found = false;
  while (interfaces && !is_found && (entry = readdir(interfaces))) {
    is_found = strlen(entry->d_name) < IFNAMSIZ && has_mac(entry->d_name, network->mac);
    if (is_found) memcpy(network->interface, entry->d_name, strlen(entry->d_name) + 1);
  }
  if (interfaces) closedir(interfaces);
  return is_found;
}

static void await_interface(struct network *network) {
  uint64_t end_ns = now_ns() + (uint64_t)MAX_INTERFACE_MS * 1000000;
  while (!find_interface(network)) {
    if (now_ns() > end_ns) {
      init_give_up("vireo.net: no interface has the address %s: see to it that the kernel or the initramfs has virtio_net", network->mac);
    }
    nanosleep(&(struct timespec){0, 20000000}, NULL);
  }
}

static struct sockaddr internet(struct in_addr address) {
  struct sockaddr_in internet = {.sin_family = AF_INET, .sin_addr = address};
  struct sockaddr any;
  memcpy(&any, &internet, sizeof any);
  return any;
}

static void must(int result, const struct network *network, const char *what) {
  if (result < 0) init_give_up("vireo.net: cannot %s %s: %s", what, network->interface, strerror(errno));
}

static void set_up(int any, const struct network *network) {
  struct ifreq request = {0};
  memcpy(request.ifr_name, network->interface, IFNAMSIZ);
  if (network->mtu) {
    request.ifr_mtu = network->mtu;
    must(ioctl(any, SIOCSIFMTU, &request), network, "set the MTU of");
  }
  request.ifr_addr = internet(network->address);
  must(ioctl(any, SIOCSIFADDR, &request), network, "set the address of");
  request.ifr_netmask = internet((struct in_addr){INADDR_NONE});
  must(ioctl(any, SIOCSIFNETMASK, &request), network, "set the netmask of");
  must(ioctl(any, SIOCGIFFLAGS, &request), network, "see whether there is");
  request.ifr_flags |= IFF_UP;
  must(ioctl(any, SIOCSIFFLAGS, &request), network, "take up");
}

// The gateway is not in the interface's network, which is one address: it has a route of its own.
static void route(int any, struct network *network) {
  struct rtentry to_gateway = {
      .rt_dst = internet(network->gateway), .rt_genmask = internet((struct in_addr){INADDR_NONE}),
      .rt_flags = RTF_UP | RTF_HOST, .rt_dev = network->interface};
  must(ioctl(any, SIOCADDRT, &to_gateway), network, "reach the gateway by");
  struct rtentry to_all = {
      .rt_dst = internet((struct in_addr){INADDR_ANY}), .rt_genmask = internet((struct in_addr){INADDR_ANY}),
      .rt_gateway = internet(network->gateway), .rt_flags = RTF_UP | RTF_GATEWAY, .rt_dev = network->interface};
  must(ioctl(any, SIOCADDRT, &to_all), network, "reach all others by");
}

// Whatever name server an image knows, it is not one of this network.
static void name_server(const struct network *network) {
  char text[64], gateway[INET_ADDRSTRLEN];
  inet_ntop(AF_INET, &network->gateway, gateway, sizeof gateway);
  int length = snprintf(text, sizeof text, "nameserver %s\n", gateway);
  unlink("/etc/resolv.conf");
  int file = open("/etc/resolv.conf", O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
  if (file < 0 || write(file, text, (size_t)length) != length) {
    init_give_up("vireo.net: cannot write /etc/resolv.conf: %s", strerror(errno));
  }
  close(file);
}

void network_configure(const char *argument) {
  struct network network = {0};
  if (!parse(argument, &network)) init_give_up("vireo.net=%s: write it as vireo.net=MAC,ADDRESS,GATEWAY,MTU", argument);
  await_interface(&network);
  int any = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  must(any, &network, "make a socket for");
  set_up(any, &network);
  route(any, &network);
  close(any);
  name_server(&network);
}

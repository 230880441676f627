/* Ethernet, ARP, IPv4, UDP and TCP headers: enough to be the peer of a host's kernel. */
#ifndef INTERNET_H
#define INTERNET_H

#include "net.h"

/* 192.0.2.0/24 is for documentation (RFC 5737): the host is .1, the probe .2, unless a worker says otherwise. */
#define HOST_ADDRESS 0xc0000201u
#define PROBE_ADDRESS 0xc0000202u
/* What the host is to route back to the probe. */
#define REFLECTED_ADDRESS 0xc6336402u

#define ETHERNET_HEADER_BYTES 14u
#define IP_HEADER_BYTES 20u
#define UDP_HEADER_BYTES 8u
#define TCP_HEADER_BYTES 20u
#define UDP_OVERHEAD_BYTES (ETHERNET_HEADER_BYTES + IP_HEADER_BYTES + UDP_HEADER_BYTES)
#define TCP_OVERHEAD_BYTES (ETHERNET_HEADER_BYTES + IP_HEADER_BYTES + TCP_HEADER_BYTES)

struct host {
  struct net *net;
  uint32_t address; /* the host's, */
  uint32_t probe;   /* ours, */
  uint32_t peer; /* whom datagrams go to, behind it or itself */
  uint8_t mac[6];
  bool known;
};

/* Asks for the host's Ethernet address until it answers; other frames that come meanwhile are dropped. */
bool host_find(struct host *host, uint64_t deadline_ns);

/* True if the frame is ARP, and answered if it asks for the probe. */
bool arp_handle(struct host *host, const struct received *frame);

/*
 * Writes all headers before `payload_bytes` that are at frame + *_OVERHEAD_BYTES already, and returns the frame's
 * length. With `offload` the checksum is left to the host, else computed.
 */
uint32_t udp_wrap(const struct host *host, struct net_header *header, uint16_t port, uint32_t payload_bytes,
                  bool offload);
/* One segment that the host cuts into many of `segment_bytes` if it has to; nothing answers it but routing. */
uint32_t tcp_wrap(const struct host *host, struct net_header *header, uint32_t payload_bytes, uint32_t segment_bytes);
/* A datagram to REFLECTED_ADDRESS, without a checksum. */
uint32_t udp_wrap_reflected(const struct host *host, struct net_header *header, uint32_t payload_bytes);

/*
 * If the frame is TCP to `port` of the probe, answers as a server does that greets whoever has sent it something, and
 * closes. It remembers nobody: all it must know of a connection is in what it answers.
 */
void tcp_answer(const struct host *host, const struct received *frame, uint16_t port, const char *greeting);

/* Whether it is UDP from `port` of the peer to the probe, whole; checksum included unless the host vouches for it. */
bool udp_is_sound(const struct host *host, const struct received *frame, uint16_t port);

/* Copies `length` bytes at `from` of the frame, wherever its parts are cut; false if it ends before. */
bool frame_copy(const struct received *frame, uint32_t from, void *to, uint32_t length);

#endif

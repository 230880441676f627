/*
 * A network card, and as much of Ethernet, ARP, IPv4 and UDP as it takes to talk to a host. Two queues, driven
 * asynchronously. VIRTIO 1.2 section 5.1.
 */
#ifndef NET_H
#define NET_H

#include "virtio.h"

#define VIRTIO_NET_F_CSUM (1ull << 0)
#define VIRTIO_NET_F_GUEST_CSUM (1ull << 1)
#define VIRTIO_NET_F_MTU (1ull << 3)
#define VIRTIO_NET_F_MAC (1ull << 5)
#define VIRTIO_NET_F_GUEST_TSO4 (1ull << 7)
#define VIRTIO_NET_F_HOST_TSO4 (1ull << 11)
#define VIRTIO_NET_F_MRG_RXBUF (1ull << 15)
#define VIRTIO_NET_F_STATUS (1ull << 16)

/* 5.1.6: struct virtio_net_hdr, little-endian as this machine is. */
struct net_header {
  uint8_t flags, gso_type;
  uint16_t hdr_len, gso_size, csum_start, csum_offset, num_buffers;
};
#define NET_NEEDS_CSUM 1
#define NET_DATA_VALID 2
#define NET_GSO_TCPV4 1

#define FRAME_MAX 65549u /* Ethernet's header and 65,535 bytes of IP */
#define SEND_SLOTS_MAX QUEUE_SIZE_MAX
#define PARTS_MAX 64

struct net {
  struct virtio_device device;
  struct virtqueue *receive, *transmit;
  bool polled, merging;
  uint32_t receive_buffer_bytes, receive_buffers;
  uint8_t mac[6];
  uint32_t slot_bytes;
  unsigned free_slots[SEND_SLOTS_MAX], free_slot_count;
};

/* A received frame where the device put it: the parts of one frame, the header before the first. */
struct received {
  const struct net_header *header;
  unsigned parts;
  uint16_t heads[PARTS_MAX];
  const uint8_t *bytes[PARTS_MAX];
  uint32_t lengths[PARTS_MAX];
  uint32_t length; /* of the frame */
};

/*
 * Finds the network device of the command line's windows and starts it with `wanted` features, to send frames of up to
 * `frame_bytes`. NULL, or why not.
 */
const char *net_open(struct net *net, uint64_t wanted, bool polled, uint32_t frame_bytes);

bool net_link_up(const struct net *net);

/* How many frames can be on their way out: 256, or fewer large ones. */
uint32_t net_slots(uint32_t frame_bytes);

/* The header and frame of a slot that is free, to be filled and given to net_send; NULL while all are on their way. */
struct net_header *net_slot(struct net *net, unsigned *slot);
static inline uint8_t *net_frame(struct net_header *header) { return (uint8_t *)(header + 1); }

/* Queues the slot's frame; the device hears of it at the next net_flush. */
void net_send(struct net *net, unsigned slot, uint32_t frame_bytes);
void net_flush(struct net *net);

/* The next frame, if there is one. It stays until net_release. */
bool net_receive(struct net *net, struct received *frame);
void net_release(struct net *net, const struct received *frame);

/* Until a frame comes, an interrupt does, or the clock reaches the deadline, in HLT unless polled. */
void net_wait(struct net *net, uint64_t deadline_ns);

#endif

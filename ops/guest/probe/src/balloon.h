/* A driver of virtio-balloon: VIRTIO 1.2 section 5.5. */
#ifndef BALLOON_H
#define BALLOON_H

#include <stdbool.h>

/* Does what the device asks for until it has asked for the whole region and then for nothing. */
bool balloon_follow(void);
/* Reports the region as free, in pieces. */
bool balloon_report(void);
/* Names what is not memory, what is not its to name, and in ways that make no sense. */
bool balloon_hostile(void);

#endif

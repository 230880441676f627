/* A driver of virtio-mem: VIRTIO 1.2 section 5.15. */
#ifndef MEMORY_H
#define MEMORY_H

#include <stdbool.h>

/* Plugs and unplugs what the device asks for until it has asked for the whole region and then for nothing; uses it all. */
bool memory_follow(void);
/* Asks for what there is not, for what is not its to ask for, and in ways that make no sense; touches what is not plugged. */
bool memory_hostile(void);

#endif

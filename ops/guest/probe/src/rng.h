/* A virtio-rng device and the program that asks it. VIRTIO 1.2 section 5.4. */
#ifndef RNG_H
#define RNG_H

#include <stdbool.h>

/* probe.run=rng-read */
bool rng_read(void);

#endif

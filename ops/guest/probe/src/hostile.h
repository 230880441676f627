/* A driver that breaks the rules, and the programs that it is. VIRTIO 1.2 sections 2.1, 2.7, 3.1, 4.2, 5.2. */
#ifndef HOSTILE_H
#define HOSTILE_H

#include <stdbool.h>

/* probe.run=hostile-NAME, or hostile-all. */
bool hostile_is_asked(void);

/* Attacks disk 0 while disk 1 must go on working. True if both came through, and the device reacted as it must. */
bool hostile(void);

#endif

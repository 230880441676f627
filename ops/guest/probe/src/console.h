/* A virtio-console driver, and programs of it. VIRTIO 1.2 section 5.3. */
#ifndef CONSOLE_H
#define CONSOLE_H

#include <stdbool.h>

/* probe.run=console-echo: opens all ports, prints what it is told of them, and sends back what each brings. */
bool console_echo(void);
/* probe.run=console-send: writes to a port. */
bool console_send(void);
/* probe.run=console-hostile: breaks the rules of the control queues and of the ports. */
bool console_hostile(void);

#endif

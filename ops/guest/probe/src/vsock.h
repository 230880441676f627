/* A virtio-vsock driver, and programs that speak with the host by it. VIRTIO 1.2 section 5.10. */
#ifndef VSOCK_H
#define VSOCK_H

#include <stdbool.h>

/* probe.run=vsock-echo: sends back what connections to a port bring. */
bool vsock_echo(void);
/* probe.run=vsock-verify: connects to a port of the host, many times at once, and checks what comes back. */
bool vsock_verify(void);
/* probe.run=vsock-send: connects to a port of the host once, and sends. */
bool vsock_send(void);
/* probe.run=vsock-ping: sends a message to a port of the host and waits for it to come back, again and again. */
bool vsock_ping(void);
/* probe.run=vsock-hostile: sends what no driver does; a connection to a port of the host must work after it. */
bool vsock_hostile(void);

#endif

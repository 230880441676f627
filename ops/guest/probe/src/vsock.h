/* A virtio-vsock driver, and programs that speak with the host by it. VIRTIO 1.2 section 5.10. */
#ifndef VSOCK_H
#define VSOCK_H

#include <stdbool.h>

/* probe.run=vsock-echo: sends back what connections to a port bring. */
bool vsock_echo(void);
/* probe.run=vsock-sink: takes what one connection to a port brings, and looks at none of it. */
bool vsock_sink(void);
/* probe.run=vsock-source: sends into one connection to a port, whatever is in its buffers. */
bool vsock_source(void);
/* probe.run=vsock-agent: answers as the guest's agent does, as far as agent.h goes. */
bool vsock_agent(void);
/* probe.run=vsock-verify: connects to a port of the host, many times at once, and checks what comes back. */
bool vsock_verify(void);
/* probe.run=vsock-send: connects to a port of the host once, and sends. */
bool vsock_send(void);
/* probe.run=vsock-ping: sends a message to a port of the host and waits for it to come back, again and again. */
bool vsock_ping(void);
/* probe.run=vsock-hostile: sends what no driver does; a connection to a port of the host must work after it. */
bool vsock_hostile(void);

#endif

// The guest's way to its metadata service: TCP connections to an address of the guest, each carried to the node.
#pragma once

#include <stdbool.h>

// Carries those to "IPV4:PORT" to "vsock:CID:PORT" or "unix:PATH". False with errno, or with 0 if an address is none.
bool relay_serve(const char *listen_at, const char *to);

void relay_serve_no_more(void);

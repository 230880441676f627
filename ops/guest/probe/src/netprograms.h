/* probe.run=net-info, net-verify, net-rate, net-serve, net-hostile: README.md tells what they take. */
#ifndef NETPROGRAMS_H
#define NETPROGRAMS_H

#include <stdbool.h>

bool net_info(void);
bool net_verify(void);
bool net_rate(void);
bool net_serve(void);
bool net_hostile(void);

#endif

// A guest's routed network, as the kernel's command line has it.
#pragma once

// Gives the interface with this Ethernet address its own address, and a gateway to all others, which is its name server, too:
// "MAC,ADDRESS,GATEWAY,MTU", of which MTU may be 0. Does not return if that cannot be: says why and powers off.
void network_configure(const char *argument);

// What the agent does as the init process of a guest.
#pragma once

#include <stdbool.h>
#include <stdint.h>

bool is_init(void);

// Mounts, loads modules, finds the root and changes to it. Does not return if the machine cannot come up: says why on the
// console and powers off.
void init_boot(void);

// Whether the kernel's argument says that the node serves metadata. If so its address is on the loopback interface now.
bool init_has_metadata(void);

// Heeds the power button. To be called when the loop is open.
void init_watch_power_button(void);

// Begins the end: all processes are asked to, after the grace without mercy; once they have and their last words are gone,
// unmounts and powers off. The loop goes on meanwhile.
void init_shut_down(uint32_t grace_ms);

// For what cannot go on: says why, and powers off at once.
_Noreturn void init_give_up(const char *format, ...) __attribute__((format(printf, 1, 2)));

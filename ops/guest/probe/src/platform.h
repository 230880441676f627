/* The machine under the probe: ports, serial line, interrupts, clock, endings. All of it runs at CPL3. */
#ifndef PLATFORM_H
#define PLATFORM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline void out8(uint16_t port, uint8_t value) {
  __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static inline void out16(uint16_t port, uint16_t value) {
  __asm__ volatile("outw %0, %1" : : "a"(value), "Nd"(port));
}

static inline void out32(uint16_t port, uint32_t value) {
  __asm__ volatile("outl %0, %1" : : "a"(value), "Nd"(port));
}

static inline uint8_t in8(uint16_t port) {
  uint8_t value;
  __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
  return value;
}

static inline uint8_t mmio_read8(uint64_t address) {
  uint8_t value;
  __asm__ volatile("movb (%1), %0" : "=q"(value) : "r"(address) : "memory");
  return value;
}

static inline uint32_t mmio_read32(uint64_t address) {
  uint32_t value;
  __asm__ volatile("movl (%1), %0" : "=r"(value) : "r"(address) : "memory");
  return value;
}

static inline void mmio_write32(uint64_t address, uint32_t value) {
  __asm__ volatile("movl %0, (%1)" : : "r"(value), "r"(address) : "memory");
}

static inline uint64_t read_tsc(void) {
  uint32_t low, high;
  __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
  return (uint64_t)high << 32 | low;
}

static inline void pause_cpu(void) { __asm__ volatile("pause"); }

/* Also orders an earlier store before a later load, which x86 otherwise does not. */
static inline void full_fence(void) { __sync_synchronize(); }

/* x86 keeps loads in order among themselves, and stores too: the compiler is what must be told. */
static inline void compiler_fence(void) { __asm__ volatile("" : : : "memory"); }

/* COM1, 16550A. */
void serial_init(void);
void serial_write(const char *bytes, size_t length);

/* printf's %s, %u (uint64_t), %x (uint64_t), %c, %%. */
void print(const char *format, ...);

/* Local APIC on, PIC off; no line is unmasked yet. */
void interrupts_init(void);
void interrupt_unmask_edge(uint32_t gsi);
/* How often the interrupt came; counted at CPL0. */
uint64_t interrupt_count(uint32_t gsi);
/* Sleeps until interrupt_count(gsi) is no longer `seen`. */
void interrupt_wait(uint32_t gsi, uint64_t seen);

/* As well, but returns at the deadline too, and sometimes before it. */
void interrupt_wait_until(uint32_t gsi, uint64_t seen, uint64_t deadline_ns);

/* Nanoseconds since some moment before the guest's start, by kvmclock; 0 on a host without it. */
uint64_t clock_ns(void);
/* TSC ticks as nanoseconds, by kvmclock's scale. */
uint64_t ticks_to_ns(uint64_t ticks);
/* Sleeps in HLT. */
void sleep_until_ns(uint64_t deadline);

/* Arms ACPI's power button (a fixed event on GSI 9), which is how a host asks a guest to end. */
void power_button_enable(void);
bool power_button_pressed(void);
void power_button_wait(void);

/* How far the other processors are. */
struct processors {
  uint16_t online, done, exits;
};

/* Starts local APICs 1 to count - 1 by INIT and SIPI; each makes `exits` writes to a port. */
const volatile struct processors *processors_start(uint32_t count, uint16_t exits);

/* The command line of PVH's start_info ("" without one), its size of RAM in KiB and where it ends, its RSDP. */
const char *boot_command_line(void);
uint64_t boot_memory_kib(void);
uint64_t boot_memory_end(void);
uint64_t boot_rsdp(void);

/* Here because there is no libc; the compiler may call them too. */
void *memcpy(void *restrict to, const void *restrict from, size_t n);
void *memset(void *to, int value, size_t n);

/* Endings. None returns. */
_Noreturn void halt(void);
_Noreturn void spin(void);
_Noreturn void power_off(uint16_t pm1_control_port);
_Noreturn void reset_by_keyboard_controller(void);
_Noreturn void triple_fault(void);
_Noreturn void debug_exit(uint16_t port, uint8_t code);

#endif

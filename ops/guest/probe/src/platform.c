#include "platform.h"

#include <stdarg.h>

#include "machine.h"

/* xen/include/public/arch-x86/hvm/start_info.h, version 1. */
struct hvm_start_info {
  uint32_t magic, version, flags, modules;
  uint64_t module_list, command_line, rsdp, memory_map;
  uint32_t memory_map_entries, reserved;
};

struct hvm_memory_map_entry {
  uint64_t address, size;
  uint32_t type, reserved;
};

#define START_INFO_MAGIC 0x336ec578
#define MEMORY_TYPE_RAM 1

/* linux: arch/x86/include/asm/pvclock-abi.h, struct pvclock_vcpu_time_info. */
struct kvm_clock {
  uint32_t version, pad;
  uint64_t tsc_timestamp, system_time;
  uint32_t tsc_to_system_mul;
  int8_t tsc_shift;
  uint8_t flags, pad2[2];
};

/* 32 bytes aligned to 32: KVM wants it within one page. */
_Alignas(64) struct kvm_clock kvm_clock;

extern uint32_t start_info_address;
extern volatile uint64_t interrupt_counts[INTERRUPT_VECTORS];

static uint64_t gateway(uint64_t service, const volatile uint64_t *counter, uint64_t seen,
                        const volatile uint64_t *other, uint64_t other_seen) {
  __asm__ volatile("int3" : "+a"(service) : "D"(counter), "S"(seen), "d"(other), "c"(other_seen) : "memory");
  return service;
}

/* Sleeps until one of two counters has moved. */
static void wait_for_either(const volatile uint64_t *counter, uint64_t seen, const volatile uint64_t *other,
                            uint64_t other_seen) {
  if (*counter == seen && *other == other_seen) gateway(GATEWAY_WAIT, counter, seen, other, other_seen);
}

/* ---- serial ---- */

#define COM1 0x3f8
#define LINE_STATUS (COM1 + 5)
#define TRANSMITTER_EMPTY 0x20
#define FIFO_SIZE 16

void serial_init(void) {
  out8(COM1 + 2, 0x07); /* FIFOs on and cleared */
}

void serial_write(const char *bytes, size_t length) {
  for (size_t i = 0; i < length; i++) {
    if (i % FIFO_SIZE == 0) {
      while (!(in8(LINE_STATUS) & TRANSMITTER_EMPTY)) pause_cpu();
    }
    out8(COM1, (uint8_t)bytes[i]);
  }
}

/* A line is written in one go: the FIFO then needs one look at the status per 16 bytes. */
static char line[256];
static size_t line_length;

static void put(char c) {
  line[line_length++] = c;
  if (c == '\n' || line_length == sizeof line) {
    serial_write(line, line_length);
    line_length = 0;
  }
}

static void put_number(uint64_t value, unsigned base) {
  char digits[20];
  size_t n = 0;
  do {
    digits[n++] = "0123456789abcdef"[value % base];
    value /= base;
  } while (value != 0);
  while (n > 0) put(digits[--n]);
}

void print(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  for (const char *f = format; *f != 0; f++) {
    if (*f != '%') {
      put(*f);
      continue;
    }
    switch (*++f) {
      case 's':
        for (const char *s = va_arg(arguments, const char *); *s != 0; s++) put(*s);
        break;
      case 'u': put_number(va_arg(arguments, uint64_t), 10); break;
      case 'x': put_number(va_arg(arguments, uint64_t), 16); break;
      case 'c': put((char)va_arg(arguments, int)); break;
      default: put(*f); break;
    }
  }
  va_end(arguments);
}

/* ---- interrupts ---- */

#define LAPIC_SPURIOUS_VECTOR 0xf0
#define LAPIC_SOFTWARE_ENABLE 0x100
#define LAPIC_TIMER 0x320
#define LAPIC_TIMER_INITIAL_COUNT 0x380
#define LAPIC_TIMER_DIVIDE 0x3e0
#define LAPIC_DIVIDE_BY_1 0xb
#define IOAPIC_SELECT (IOAPIC_BASE + 0x00)
#define IOAPIC_WINDOW (IOAPIC_BASE + 0x10)
#define IOAPIC_REDIRECTION(gsi) (0x10 + 2 * (gsi))

void interrupts_init(void) {
  out8(0x21, 0xff); /* mask both PICs */
  out8(0xa1, 0xff);
  mmio_write32(LAPIC_BASE + LAPIC_SPURIOUS_VECTOR,
               LAPIC_SOFTWARE_ENABLE | (FIRST_INTERRUPT_VECTOR + SPURIOUS_INTERRUPT));
  mmio_write32(LAPIC_BASE + LAPIC_TIMER_DIVIDE, LAPIC_DIVIDE_BY_1);
  mmio_write32(LAPIC_BASE + LAPIC_TIMER, FIRST_INTERRUPT_VECTOR + TIMER_INTERRUPT); /* one-shot */
}

void interrupt_unmask_edge(uint32_t gsi) {
  mmio_write32(IOAPIC_SELECT, IOAPIC_REDIRECTION(gsi) + 1);
  mmio_write32(IOAPIC_WINDOW, 0); /* to local APIC 0 */
  mmio_write32(IOAPIC_SELECT, IOAPIC_REDIRECTION(gsi));
  mmio_write32(IOAPIC_WINDOW, FIRST_INTERRUPT_VECTOR + gsi); /* fixed, physical, high, edge, unmasked */
}

uint64_t interrupt_count(uint32_t gsi) { return interrupt_counts[gsi]; }

void interrupt_wait(uint32_t gsi, uint64_t seen) {
  wait_for_either(&interrupt_counts[gsi], seen, &interrupt_counts[gsi], seen);
}

/* Called at CPL0 by the stubs of start.S. */
_Noreturn void on_exception(uint64_t vector, uint64_t error, uint64_t rip, uint64_t cs) {
  print("\nprobe: exception vector=%u error=0x%x rip=0x%x cs=0x%x\n", vector, error, rip, cs);
  for (;;) __asm__ volatile("cli; hlt");
}

/* ---- clock ---- */

static uint64_t scale(uint64_t ticks, uint32_t multiplier, int8_t shift) {
  ticks = shift < 0 ? ticks >> -shift : ticks << shift;
  return (uint64_t)(((unsigned __int128)ticks * multiplier) >> 32);
}

uint64_t ticks_to_ns(uint64_t ticks) { return scale(ticks, kvm_clock.tsc_to_system_mul, kvm_clock.tsc_shift); }

uint64_t clock_ns(void) {
  const volatile struct kvm_clock *clock = &kvm_clock;
  uint32_t version;
  uint64_t ns;
  do { /* an odd version is being written */
    version = clock->version;
    compiler_fence();
    ns = clock->system_time + scale(read_tsc() - clock->tsc_timestamp, clock->tsc_to_system_mul, clock->tsc_shift);
    compiler_fence();
  } while ((version & 1) != 0 || version != clock->version);
  return version == 0 ? 0 : ns;
}

/* KVM's local APIC timer counts nanoseconds. The clock decides all the same; the timer only wakes. */
#define LONGEST_NAP_NS 1000000000u

static void set_timer(uint64_t now, uint64_t deadline) {
  uint64_t nap = deadline - now < LONGEST_NAP_NS ? deadline - now : LONGEST_NAP_NS;
  mmio_write32(LAPIC_BASE + LAPIC_TIMER_INITIAL_COUNT, (uint32_t)nap);
}

void sleep_until_ns(uint64_t deadline) {
  for (uint64_t now = clock_ns(); now < deadline; now = clock_ns()) {
    uint64_t seen = interrupt_count(TIMER_INTERRUPT);
    set_timer(now, deadline);
    interrupt_wait(TIMER_INTERRUPT, seen);
  }
}

/* A timer that is running stays: it wakes too soon rather than costing an access to the APIC each time. */
void interrupt_wait_until(uint32_t gsi, uint64_t seen, uint64_t deadline) {
  static uint64_t running_since; /* the timer's count when it was last set, plus 1 */
  uint64_t fired = interrupt_count(TIMER_INTERRUPT);
  if (running_since != fired + 1) {
    uint64_t now = clock_ns();
    if (now >= deadline) return;
    running_since = fired + 1;
    set_timer(now, deadline);
  }
  wait_for_either(&interrupt_counts[gsi], seen, &interrupt_counts[TIMER_INTERRUPT], fired);
}

/* ---- what the boot loader said ---- */

static const struct hvm_start_info *start_info(void) {
  const struct hvm_start_info *info = (const struct hvm_start_info *)(uintptr_t)start_info_address;
  return info->magic == START_INFO_MAGIC ? info : NULL;
}

const char *boot_command_line(void) {
  const struct hvm_start_info *info = start_info();
  return info == NULL || info->command_line == 0 ? "" : (const char *)(uintptr_t)info->command_line;
}

uint64_t boot_memory_kib(void) {
  const struct hvm_start_info *info = start_info();
  if (info == NULL || info->version < 1) return 0;
  const struct hvm_memory_map_entry *map = (const struct hvm_memory_map_entry *)(uintptr_t)info->memory_map;
  uint64_t bytes = 0;
  for (uint32_t i = 0; i < info->memory_map_entries; i++) {
    if (map[i].type == MEMORY_TYPE_RAM) bytes += map[i].size;
  }
  return bytes / 1024;
}

uint64_t boot_memory_end(void) {
  const struct hvm_start_info *info = start_info();
  if (info == NULL || info->version < 1) return 0;
  const struct hvm_memory_map_entry *map = (const struct hvm_memory_map_entry *)(uintptr_t)info->memory_map;
  uint64_t end = 0;
  for (uint32_t i = 0; i < info->memory_map_entries; i++) {
    if (map[i].type == MEMORY_TYPE_RAM && map[i].address + map[i].size > end) end = map[i].address + map[i].size;
  }
  return end;
}

uint64_t boot_rsdp(void) {
  const struct hvm_start_info *info = start_info();
  return info == NULL ? 0 : info->rsdp;
}

/* ---- power button: ACPI 6.3, 4.8.3.1, at the ports of QEMU's PIIX4 and of Vireo's FADT ---- */

#define PM1_ENABLE_PORT 0x602
#define PM1_POWER_BUTTON (1u << 8)
#define SCI_GSI 9

/* The line is a level one. Taken by its edge it needs no clearing: the guest ends at the first press. */
void power_button_enable(void) {
  interrupt_unmask_edge(SCI_GSI);
  out16(PM1_ENABLE_PORT, PM1_POWER_BUTTON);
}

bool power_button_pressed(void) { return interrupt_count(SCI_GSI) != 0; }

void power_button_wait(void) { interrupt_wait(SCI_GSI, 0); }

/* ---- other processors: SDM volume 3, 8.4 ---- */

#define LAPIC_ICR_LOW 0x300
#define LAPIC_ICR_HIGH 0x310
#define ICR_INIT 0x4500
#define ICR_STARTUP 0x4600
#define AP_PAGE 0x80 /* at 0x80000: usable memory that no boot loader of ours uses */

extern const uint8_t ap_code[], ap_mailbox[], ap_code_end[];

const volatile struct processors *processors_start(uint32_t count, uint16_t exits) {
  uint8_t *page = (uint8_t *)(uintptr_t)(AP_PAGE << 12);
  memcpy(page, ap_code, (size_t)(ap_code_end - ap_code));
  volatile struct processors *processors = (volatile struct processors *)(page + (ap_mailbox - ap_code));
  processors->exits = exits;
  for (uint32_t id = 1; id < count; id++) {
    mmio_write32(LAPIC_BASE + LAPIC_ICR_HIGH, id << 24);
    mmio_write32(LAPIC_BASE + LAPIC_ICR_LOW, ICR_INIT);
    mmio_write32(LAPIC_BASE + LAPIC_ICR_HIGH, id << 24);
    mmio_write32(LAPIC_BASE + LAPIC_ICR_LOW, ICR_STARTUP | AP_PAGE);
  }
  return processors;
}

/* ---- endings ---- */

#define PM1_SLEEP_ENABLE (1u << 13)
#define SLEEP_TYPE_S5 (0u << 10)
#define KEYBOARD_CONTROLLER_COMMAND 0x64
#define PULSE_RESET_LINE 0xfe

_Noreturn void halt(void) {
  for (;;) gateway(GATEWAY_HALT, NULL, 0, NULL, 0);
}

_Noreturn void spin(void) {
  for (;;) pause_cpu();
}

_Noreturn void power_off(uint16_t pm1_control_port) {
  out16(pm1_control_port, PM1_SLEEP_ENABLE | SLEEP_TYPE_S5);
  halt();
}

_Noreturn void reset_by_keyboard_controller(void) {
  out8(KEYBOARD_CONTROLLER_COMMAND, PULSE_RESET_LINE);
  halt();
}

_Noreturn void triple_fault(void) {
  gateway(GATEWAY_TRIPLE_FAULT, NULL, 0, NULL, 0);
  halt();
}

_Noreturn void debug_exit(uint16_t port, uint8_t code) {
  out32(port, code);
  halt();
}

/* ---- memory ---- */

void *memcpy(void *restrict to, const void *restrict from, size_t n) {
  void *result = to;
  __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(n) : : "memory");
  return result;
}

void *memset(void *to, int value, size_t n) {
  void *result = to;
  __asm__ volatile("rep stosb" : "+D"(to), "+c"(n) : "a"(value) : "memory");
  return result;
}

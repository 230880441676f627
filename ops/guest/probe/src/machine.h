/* Numbers that C and assembly share. */
#ifndef MACHINE_H
#define MACHINE_H

/* Segment selectors as Linux has them: some paravirtual KVMs know no others. */
#define KERNEL_CS 0x10
#define KERNEL_DS 0x18
#define USER_DS 0x2b
#define USER_CS 0x33
#define TSS_SELECTOR 0x40

/* Interrupt vector = FIRST_INTERRUPT_VECTOR + GSI; the last ones are the local APIC's own. */
#define FIRST_INTERRUPT_VECTOR 0x20
#define INTERRUPT_VECTORS 48
#define TIMER_INTERRUPT 46
#define SPURIOUS_INTERRUPT 47
#define STUB_SIZE 64

#define LAPIC_BASE 0xfee00000
#define LAPIC_EOI 0xb0
#define IOAPIC_BASE 0xfec00000

/* What CPL3 asks of CPL0 by int3, in rax. */
#define GATEWAY_WAIT 0
#define GATEWAY_HALT 1
#define GATEWAY_TRIPLE_FAULT 2

/* linux: arch/x86/include/uapi/asm/kvm_para.h */
#define MSR_KVM_SYSTEM_TIME_NEW 0x4b564d01

#endif

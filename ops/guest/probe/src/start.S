/*
 * PVH entry, the tables of a 64-bit x86 machine, and the few instructions that must run at CPL0.
 *
 * Everything else runs at CPL3, which is native even on a KVM that emulates CPL0 one instruction at a
 * time. For the same reason the page tables, GDT, IDT and TSS are made by the assembler and the linker:
 * the boot path is some thirty instructions.
 */
#include "machine.h"

/* What probe.lds takes apart. */
        .globl  task_state, exception_stubs, interrupt_stubs

/* PVH: xen/include/public/elfnote.h, XEN_ELFNOTE_PHYS32_ENTRY. */
        .section .note.Xen, "a", @note
        .balign 4
        .long   4, 8, 18
        .asciz  "Xen"
        .quad   pvh_entry

/* 32-bit protected mode, paging off, EBX = struct hvm_start_info. */
        .section .text.entry, "ax"
        .code32
        .globl  pvh_entry
pvh_entry:
        cld
        movl    %ebx, start_info_address
        movl    $0x20, %eax                     /* CR4.PAE */
        movl    %eax, %cr4
        movl    $page_map_level_4, %eax
        movl    %eax, %cr3
        movl    $0xc0000080, %ecx               /* IA32_EFER.LME */
        movl    $0x100, %eax
        xorl    %edx, %edx
        wrmsr
        movl    $0x80000033, %eax               /* CR0: PG, NE, ET, MP, PE */
        movl    %eax, %cr0
        lgdt    gdt_register
        ljmpl   $KERNEL_CS, $start64

        .code64
start64:
        movl    $KERNEL_DS, %eax
        movl    %eax, %ss
        movl    %eax, %ds
        movl    %eax, %es
        movl    $kernel_stack_top, %esp
        lidt    idt_register
        movl    $TSS_SELECTOR, %eax
        ltr     %ax
        movl    $MSR_KVM_SYSTEM_TIME_NEW, %ecx
        movl    $kvm_clock + 1, %eax            /* bit 0: enable */
        xorl    %edx, %edx
        wrmsr
        pushq   $USER_DS
        pushq   $user_stack_top - 8             /* as after a call */
        pushq   $0x202                          /* IF */
        pushq   $USER_CS
        pushq   $main
        iretq

/* int3: the one way from CPL3 to CPL0. Entered with IF=0. Clobbers rax. */
        .globl  gateway
gateway:
        testl   %eax, %eax
        jnz     other_service
/*
 * GATEWAY_WAIT: sleep while *rdi == rsi and *rdx == rcx. An interrupt between test and HLT is held off by STI's shadow,
 * and where that gets lost (QEMU's TCG forgets it when a nested guest exits in it), LEAVE_WAIT takes the guest past HLT.
 */
1:      cmpq    %rsi, (%rdi)
        jne     2f
        cmpq    %rcx, (%rdx)
        jne     2f
        sti
wait_halt:
        hlt
        cli
        jmp     1b
2:      iretq

other_service:
        cmpl    $GATEWAY_TRIPLE_FAULT, %eax
        je      triple_fault
/* GATEWAY_HALT: for good. */
1:      sti
        hlt
        jmp     1b

triple_fault:
        lidt    empty_idt_register
        ud2

/* Of an interrupt's frame: whoever was about to sleep in GATEWAY_WAIT must look again first. HLT is a byte long. */
        .macro  LEAVE_WAIT
        cmpq    $wait_halt, (%rsp)
        jne     9f
        incq    (%rsp)
9:
        .endm

/* Interrupts: count, end of interrupt, return. */
        .balign STUB_SIZE
interrupt_stubs:
        .set    n, 0
        .rept   INTERRUPT_VECTORS - 1
        .balign STUB_SIZE
        incq    interrupt_counts + 8 * n
        addr32 movl $0, LAPIC_BASE + LAPIC_EOI  /* above 2 GiB: a 64-bit displacement would be sign-extended */
        LEAVE_WAIT
        iretq
        .set    n, n + 1
        .endr
        .balign STUB_SIZE
        iretq                                   /* a spurious interrupt takes no EOI (SDM volume 3, 11.9) */

/* Exceptions: nothing here expects one, so report and end. */
        .balign STUB_SIZE
exception_stubs:
        .set    n, 0
        .rept   32
        .balign STUB_SIZE
        .if     n == 8 || (n >= 10 && n <= 14) || n == 17 || n == 21 || n == 29 || n == 30
        popq    %rsi                            /* the error code */
        .else
        xorl    %esi, %esi
        .endif
        movl    $n, %edi
        popq    %rdx                            /* RIP */
        popq    %rcx                            /* CS */
        andq    $-16, %rsp
        call    on_exception
        .set    n, n + 1
        .endr

/*
 * What an application processor runs, in real mode, from a copy of this at a page below 1 MiB: it says that it is
 * there, causes as many exits as it is told to, says that it has, and halts.
 */
        .code16
        .globl  ap_code, ap_mailbox, ap_code_end
ap_code:
        movw    %cs, %ax
        movw    %ax, %ds
        lock incw ap_mailbox - ap_code          /* online */
        movw    ap_mailbox + 4 - ap_code, %cx   /* exits */
        jcxz    2f
1:      outb    %al, $0x80
        loop    1b
2:      lock incw ap_mailbox + 2 - ap_code      /* done */
3:      hlt
        jmp     3b
        .balign 2
ap_mailbox:
        .skip   6
ap_code_end:

        .data
        .balign 8
gdt:
        .quad   0
        .quad   0x00cf9b000000ffff              /* 0x08 kernel code, 32 bit */
        .quad   0x00af9b000000ffff              /* 0x10 kernel code, 64 bit */
        .quad   0x00cf93000000ffff              /* 0x18 kernel data */
        .quad   0x00cffb000000ffff              /* 0x23 user code, 32 bit */
        .quad   0x00cff3000000ffff              /* 0x2b user data */
        .quad   0x00affb000000ffff              /* 0x33 user code, 64 bit */
        .quad   0
        .word   task_state_size - 1, tss_base_15_0
        .byte   tss_base_23_16, 0x89, 0x00, tss_base_31_24
        .quad   0
gdt_end:

gdt_register:
        .word   gdt_end - gdt - 1
        .quad   gdt
idt_register:
        .word   idt_end - idt - 1
        .quad   idt
empty_idt_register:
        .word   0
        .quad   0

/* Interrupt gates: IF is cleared on entry. Only int3's may be used from CPL3. */
        .balign 16
idt:
        .set    n, 0
        .rept   32
        .if     n == 3
        .word   gateway_15_0, KERNEL_CS, 0xee00, stubs_31_16
        .else
        .word   exception_stubs_15_0 + STUB_SIZE * n, KERNEL_CS, 0x8e00, stubs_31_16
        .endif
        .quad   0
        .set    n, n + 1
        .endr
        .set    n, 0
        .rept   INTERRUPT_VECTORS
        .word   interrupt_stubs_15_0 + STUB_SIZE * n, KERNEL_CS, 0x8e00, stubs_31_16
        .quad   0
        .set    n, n + 1
        .endr
idt_end:

/* 64-bit TSS: the stack of CPL0, and an I/O bitmap of zeroes, which lets CPL3 use every port. */
        .balign 16
task_state:
        .long   0
        .quad   kernel_stack_top
        .fill   90, 1, 0
        .word   io_bitmap - task_state
io_bitmap:
        .fill   8192, 1, 0
        .byte   0xff
        .set    task_state_size, . - task_state

/* 5 GiB, the last for memory that is plugged, mapped one to one in 2 MiB pages, all of them user-accessible: CPL3 drives the devices too. */
        .section .data.page_tables, "aw"
        .balign 0x1000
page_map_level_4:
        .quad   page_directory_pointers + 7
        .fill   511, 8, 0
page_directory_pointers:
        .set    n, 0
        .rept   5
        .quad   page_directories + 0x1000 * n + 7
        .set    n, n + 1
        .endr
        .fill   507, 8, 0
page_directories:
        .set    n, 0
        .rept   2560
        .quad   0x200000 * n + 0xe7             /* present, writable, user, accessed, dirty, 2 MiB */
        .set    n, n + 1
        .endr

        .bss
        .balign 64
        .globl  interrupt_counts
interrupt_counts:
        .skip   8 * INTERRUPT_VECTORS
        .balign 16
        .skip   0x1000
kernel_stack_top:
        .skip   0x4000
user_stack_top:
        .globl  start_info_address
start_info_address:
        .skip   8

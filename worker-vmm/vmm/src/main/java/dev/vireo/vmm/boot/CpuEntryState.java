package dev.vireo.vmm.boot;

import static dev.vireo.vmm.kvm.SpecialRegisters.CR0_ET;
import static dev.vireo.vmm.kvm.SpecialRegisters.CR0_PE;
import static dev.vireo.vmm.kvm.SpecialRegisters.CR0_PG;
import static dev.vireo.vmm.kvm.SpecialRegisters.CR4_PAE;
import static dev.vireo.vmm.kvm.SpecialRegisters.EFER_LMA;
import static dev.vireo.vmm.kvm.SpecialRegisters.EFER_LME;

import dev.vireo.vmm.boot.EntryPoint.Protocol;
import dev.vireo.vmm.kvm.Registers;
import dev.vireo.vmm.kvm.SpecialRegisters;
import dev.vireo.vmm.kvm.SpecialRegisters.Register;
import dev.vireo.vmm.kvm.X86Vcpu;
import dev.vireo.vmm.memory.GuestMemory;

/** The state in which the first vCPU enters a kernel, and the GDT and page tables it needs. */
public final class CpuEntryState {
  /** Selectors that boot.rst asks for; PVH leaves them open. */
  private static final int CODE_SELECTOR = 0x10;

  private static final int DATA_SELECTOR = 0x18;
  private static final int TASK_SELECTOR = 0x20;

  /** Flat segments of 4 GiB, accessed already. */
  private static final long CODE_64 = 0x00af9b000000ffffL;

  private static final long CODE_32 = 0x00cf9b000000ffffL;
  private static final long DATA = 0x00cf93000000ffffL;

  /** A busy TSS of 0x68 bytes at 0, as PVH wants it; nobody looks into it. */
  private static final long TASK = 0x00008b0000000067L;

  private static final int GDT_LIMIT = 5 * 8 - 1;

  private static final long PRESENT_WRITABLE = 0b11;
  private static final long LARGE_PAGE = 1 << 7;
  private static final long PAGE = 4096;
  private static final long LARGE_PAGE_BYTES = 2 << 20;
  private static final int TABLE_ENTRIES = 512;

  /** GiB that are mapped: everything below 4 GiB, since a kernel may sit anywhere there. */
  private static final int MAPPED_GIB = 4;

  private final EntryPoint entry;

  CpuEntryState(EntryPoint entry) {
    this.entry = entry;
  }

  void writeTables(GuestMemory memory) {
    memory.putLong(BootLayout.GDT + CODE_SELECTOR, code());
    memory.putLong(BootLayout.GDT + DATA_SELECTOR, DATA);
    memory.putLong(BootLayout.GDT + TASK_SELECTOR, TASK);
    if (entry.protocol() == Protocol.LINUX_64) {
      writePageTables(memory);
    }
  }

  private long code() {
    return entry.protocol() == Protocol.LINUX_64 ? CODE_64 : CODE_32;
  }

  private static void writePageTables(GuestMemory memory) {
    long pointers = BootLayout.PAGE_TABLES + PAGE;
    long directories = pointers + PAGE;
    memory.putLong(BootLayout.PAGE_TABLES, pointers | PRESENT_WRITABLE);
    for (int gib = 0; gib < MAPPED_GIB; gib++) {
      memory.putLong(pointers + 8L * gib, (directories + PAGE * gib) | PRESENT_WRITABLE);
    }
    for (int i = 0; i < MAPPED_GIB * TABLE_ENTRIES; i++) {
      memory.putLong(directories + 8L * i, (i * LARGE_PAGE_BYTES) | LARGE_PAGE | PRESENT_WRITABLE);
    }
  }

  /** Sets the vCPU so that its first instruction is the kernel's. */
  public void applyTo(X86Vcpu vcpu) {
    SpecialRegisters special =
        vcpu.specialRegisters()
            .segment(Register.CS, CODE_SELECTOR, code())
            .segment(Register.DS, DATA_SELECTOR, DATA)
            .segment(Register.ES, DATA_SELECTOR, DATA)
            .segment(Register.FS, DATA_SELECTOR, DATA)
            .segment(Register.GS, DATA_SELECTOR, DATA)
            .segment(Register.SS, DATA_SELECTOR, DATA)
            .segment(Register.TR, TASK_SELECTOR, TASK)
            .gdt(BootLayout.GDT, GDT_LIMIT)
            .idt(0, 0)
            .cr0(CR0_PE | CR0_ET);
    Registers general =
        new Registers()
            .rip(entry.address())
            .rsp(BootLayout.STACK_TOP)
            .rflags(Registers.RFLAGS_RESERVED);
    switch (entry.protocol()) {
      case LINUX_64 -> {
        special
            .cr0(CR0_PE | CR0_ET | CR0_PG)
            .cr3(BootLayout.PAGE_TABLES)
            .cr4(CR4_PAE)
            .efer(EFER_LME | EFER_LMA);
        general.rsi(BootLayout.BOOT_PARAMETERS);
      }
      case LINUX_32 -> general.rsi(BootLayout.BOOT_PARAMETERS);
      case PVH -> general.rbx(BootLayout.START_INFO);
    }
    vcpu.setSpecialRegisters(special);
    vcpu.setRegisters(general);
  }
}

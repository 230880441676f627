package dev.vireo.vmm.boot;

import static java.lang.foreign.ValueLayout.JAVA_INT_UNALIGNED;
import static java.lang.foreign.ValueLayout.JAVA_LONG_UNALIGNED;

import dev.vireo.vmm.boot.EntryPoint.Protocol;
import dev.vireo.vmm.memory.GuestMemory;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;

/**
 * An ELF kernel (System V ABI, {@code elf.h}): a vmlinux, entered as Linux's 64-bit protocol says,
 * or anything with a PVH note, entered as that says.
 */
final class ElfImage implements KernelImage {
  /** {@code "\x7fELF"}. */
  static final long MAGIC = 0x464c457f;

  private static final int CLASS = 4;
  private static final int DATA = 5;
  private static final int TYPE = 16;
  private static final int MACHINE = 18;
  private static final int ENTRY = 24;
  private static final int PROGRAM_HEADERS = 32;
  private static final int PROGRAM_HEADER_SIZE = 54;
  private static final int PROGRAM_HEADER_COUNT = 56;

  private static final int CLASS_64 = 2;
  private static final int LITTLE_ENDIAN = 1;
  private static final int ET_EXEC = 2;
  private static final int ET_DYN = 3;
  private static final int EM_386 = 3;
  private static final int EM_X86_64 = 62;
  private static final int EM_AARCH64 = 183;
  private static final int PT_LOAD = 1;
  private static final int PT_NOTE = 4;

  /** Sizes of structures, 64 bit. */
  private static final int FILE_HEADER_BYTES = 64;

  private static final int PROGRAM_HEADER_BYTES = 56;
  private static final int NOTE_HEADER_BYTES = 12;

  /** A kernel's notes are some hundred bytes. */
  private static final long MAX_NOTE_BYTES = 64 << 10;

  /** {@code XEN_ELFNOTE_PHYS32_ENTRY} of xen/include/public/elfnote.h, owner {@code "Xen"}. */
  private static final int XEN_PHYS32_ENTRY = 18;

  private static final int XEN_OWNER = 0x006e6558;

  /** Where Linux places nothing at all above, if there is no header to ask: 2 GiB − 1. */
  private static final long MAX_INITRAMFS_ADDRESS = 0x7fff_ffffL;

  /** A program header that is loaded. Addresses are physical. */
  private record Segment(long offset, long fileBytes, long address, long memoryBytes) {
    long end() {
      return address + memoryBytes;
    }
  }

  private final KernelFile file;
  private final List<Segment> segments;
  private final EntryPoint entry;

  private ElfImage(KernelFile file, List<Segment> segments, EntryPoint entry) {
    this.file = file;
    this.segments = segments;
    this.entry = entry;
  }

  static ElfImage of(KernelFile file) {
    checkIdentity(file);
    MemorySegment headers = programHeaders(file);
    List<Segment> segments = new ArrayList<>();
    EntryPoint entry = new EntryPoint(Protocol.LINUX_64, file.u64(ENTRY));
    for (long at = 0; at < headers.byteSize(); at += PROGRAM_HEADER_BYTES) {
      MemorySegment header = headers.asSlice(at, PROGRAM_HEADER_BYTES);
      int type = header.get(JAVA_INT_UNALIGNED, 0);
      if (type == PT_LOAD) {
        Segment segment = segment(file, header);
        if (segment.memoryBytes() > 0) {
          segments.add(segment);
        }
      } else if (type == PT_NOTE) {
        long pvhEntry = pvhEntry(notes(file, header));
        if (pvhEntry != 0) {
          entry = new EntryPoint(Protocol.PVH, pvhEntry);
        }
      }
    }
    return new ElfImage(file, segments, checkedEntry(entry, segments));
  }

  private static void checkIdentity(KernelFile file) {
    int machine = file.u16(MACHINE);
    if (machine == EM_AARCH64) {
      throw KernelFile.wrongArchitecture("arm64");
    }
    if (machine == EM_386) {
      throw KernelFile.wrongArchitecture("32-bit x86");
    }
    if (file.size() < FILE_HEADER_BYTES) {
      throw KernelFile.invalid("the ELF file is truncated: " + file.size() + " bytes");
    }
    if (machine != EM_X86_64) {
      throw KernelFile.wrongArchitecture("ELF machine " + machine);
    }
    if (file.u8(CLASS) != CLASS_64 || file.u8(DATA) != LITTLE_ENDIAN) {
      throw KernelFile.invalid("the ELF file is not 64-bit little-endian");
    }
    if (file.u16(TYPE) != ET_EXEC && file.u16(TYPE) != ET_DYN) {
      throw KernelFile.invalid("the ELF file is not executable (type " + file.u16(TYPE) + ")");
    }
  }

  private static MemorySegment programHeaders(KernelFile file) {
    long offset = file.u64(PROGRAM_HEADERS);
    int count = file.u16(PROGRAM_HEADER_COUNT);
    if (count == 0 || file.u16(PROGRAM_HEADER_SIZE) != PROGRAM_HEADER_BYTES) {
      throw KernelFile.invalid("the ELF file has no program headers");
    }
    return part(file, offset, (long) count * PROGRAM_HEADER_BYTES, "program headers");
  }

  private static Segment segment(KernelFile file, MemorySegment header) {
    long offset = header.get(JAVA_LONG_UNALIGNED, 8);
    long address = header.get(JAVA_LONG_UNALIGNED, 24);
    long fileBytes = header.get(JAVA_LONG_UNALIGNED, 32);
    long memoryBytes = header.get(JAVA_LONG_UNALIGNED, 40);
    checkExtent(file, offset, fileBytes, "a segment");
    if (memoryBytes < fileBytes || address < 0 || address + memoryBytes < 0) {
      throw KernelFile.invalid("the ELF file has a segment of impossible size or address");
    }
    if (address < BootLayout.HIGH_MEMORY && memoryBytes > 0) {
      throw KernelFile.invalid(
          "the ELF file has a segment at 0x"
              + Long.toHexString(address)
              + ", below 1 MiB, where boot data is");
    }
    return new Segment(offset, fileBytes, address, memoryBytes);
  }

  private static MemorySegment notes(KernelFile file, MemorySegment header) {
    long bytes = header.get(JAVA_LONG_UNALIGNED, 32);
    if (bytes > MAX_NOTE_BYTES) {
      throw KernelFile.invalid("the ELF file has notes of " + bytes + " bytes");
    }
    return part(file, header.get(JAVA_LONG_UNALIGNED, 8), bytes, "notes");
  }

  /** The PVH note's entry point; 0 if there is none. Name and value are padded to 4 bytes. */
  private static long pvhEntry(MemorySegment notes) {
    long at = 0;
    while (at + NOTE_HEADER_BYTES <= notes.byteSize()) {
      long nameBytes = Integer.toUnsignedLong(notes.get(JAVA_INT_UNALIGNED, at));
      long valueBytes = Integer.toUnsignedLong(notes.get(JAVA_INT_UNALIGNED, at + 4));
      int type = notes.get(JAVA_INT_UNALIGNED, at + 8);
      long name = at + NOTE_HEADER_BYTES;
      long value = name + padded(nameBytes);
      long next = value + padded(valueBytes);
      if (value + valueBytes > notes.byteSize()) {
        break;
      }
      if (type == XEN_PHYS32_ENTRY
          && nameBytes == 4
          && notes.get(JAVA_INT_UNALIGNED, name) == XEN_OWNER
          && valueBytes >= 4) {
        return Integer.toUnsignedLong(notes.get(JAVA_INT_UNALIGNED, value));
      }
      at = next;
    }
    return 0;
  }

  private static long padded(long bytes) {
    return (bytes + 3) & ~3L;
  }

  private static EntryPoint checkedEntry(EntryPoint entry, List<Segment> segments) {
    for (Segment segment : segments) {
      if (entry.address() >= segment.address() && entry.address() < segment.end()) {
        return entry;
      }
    }
    throw KernelFile.invalid(
        "the ELF file's entry point 0x"
            + Long.toHexString(entry.address())
            + " is in none of its segments");
  }

  private static MemorySegment part(KernelFile file, long offset, long bytes, String what) {
    checkExtent(file, offset, bytes, what);
    return file.read(offset, bytes);
  }

  private static void checkExtent(KernelFile file, long offset, long bytes, String what) {
    if (offset < 0 || bytes < 0 || bytes > file.size() || offset > file.size() - bytes) {
      throw KernelFile.invalid(
          "the ELF file is truncated: its " + file.size() + " bytes end before " + what);
    }
  }

  @Override
  public long end() {
    long end = 0;
    for (Segment segment : segments) {
      end = Math.max(end, segment.end());
    }
    return end;
  }

  @Override
  public long maxInitramfsAddress() {
    return MAX_INITRAMFS_ADDRESS;
  }

  @Override
  public int maxCommandLineBytes() {
    return BootFiles.MAX_COMMAND_LINE_BYTES;
  }

  /** What a segment has beyond its bytes in the file is zero, as fresh memory is. */
  @Override
  public void load(GuestMemory memory) {
    for (Segment segment : segments) {
      if (segment.fileBytes() > 0) {
        file.load(segment.offset(), segment.fileBytes(), memory, segment.address());
      }
    }
  }

  @Override
  public EntryPoint entry() {
    return entry;
  }

  /** A vmlinux has none: the least that lets it believe the rest (boot.rst, 64-bit protocol). */
  @Override
  public byte[] setupHeader() {
    byte[] header = new byte[0x268 - BzImage.SETUP_HEADER];
    put(header, 0x1fe, 0xaa55, 2); // boot_flag
    put(header, BzImage.HEADER_MAGIC_OFFSET, BzImage.HEADER_MAGIC, 4);
    put(header, 0x206, 0x20c, 2); // version
    put(header, 0x211, 1, 1); // loadflags: LOADED_HIGH
    put(header, 0x230, 0x1000000, 4); // kernel_alignment
    return header;
  }

  private static void put(byte[] header, int offset, long value, int bytes) {
    for (int i = 0; i < bytes; i++) {
      header[offset - BzImage.SETUP_HEADER + i] = (byte) (value >>> (8 * i));
    }
  }
}

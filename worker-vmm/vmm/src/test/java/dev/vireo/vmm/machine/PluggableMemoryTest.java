package dev.vireo.vmm.machine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.vireo.linux.Errno;
import dev.vireo.linux.Fd;
import dev.vireo.linux.LinuxException;
import dev.vireo.linux.MemoryMapping;
import dev.vireo.vmm.machine.Machine.MemoryFile;
import dev.vireo.vmm.memory.GuestMemory;
import dev.vireo.vmm.memory.HotplugLayout;
import dev.vireo.vmm.memory.HotplugRegion;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;

/** Memory that is plugged: what the host gives for it and gets back, and what KVM is told. */
class PluggableMemoryTest {
  private static final long MIB = 1 << 20;
  private static final long GIB = 1 << 30;
  private static final long BASE = 4 * GIB;
  private static final long BLOCK = 2 * MIB;

  /** As KVM has them. */
  private static final class Slots implements PluggableMemory.Slots {
    private final Map<Integer, String> now = new TreeMap<>();
    private int refuseFrom = Integer.MAX_VALUE;

    @Override
    public void set(int slot, long guestAddress, MemorySegment memory) {
      if (slot >= refuseFrom) {
        throw new LinuxException("no", Errno.ENOMEM);
      }
      if (memory.byteSize() == 0) {
        now.remove(slot);
      } else {
        now.put(slot, "%d+%d".formatted((guestAddress - BASE) / MIB, memory.byteSize() / MIB));
      }
    }
  }

  private final Slots slots = new Slots();

  private PluggableMemory anonymous(long bytes) {
    return new PluggableMemory(new HotplugLayout(BASE, bytes, BLOCK), slots, null, 0);
  }

  private static GuestMemory memory(HotplugRegion region) {
    return new GuestMemory(List.of(), region);
  }

  @Test
  void kvmHasTheWindowsInWhichSomethingIsPlugged() {
    try (PluggableMemory pluggable = anonymous(300 * MIB)) {
      HotplugRegion region = pluggable.region();
      assertEquals(Map.of(), slots.now);
      region.plug(1, 1);
      assertEquals(Map.of(128, "0+128"), slots.now);
      region.plug(60, 8);
      assertEquals(Map.of(128, "0+128", 129, "128+128"), slots.now);
      region.plug(149, 1);
      assertEquals(Map.of(128, "0+128", 129, "128+128", 130, "256+44"), slots.now);
      region.unplug(64, 4);
      assertEquals(Map.of(128, "0+128", 130, "256+44"), slots.now);
      region.unplug(1, 1);
      assertEquals(Map.of(128, "0+128", 130, "256+44"), slots.now);
      region.unplugAll();
      assertEquals(Map.of(), slots.now);
    }
  }

  @Test
  void aLargeRegionHasNoMoreWindowsThanKvmHasSlots() {
    try (PluggableMemory pluggable = anonymous(1024 * GIB)) {
      pluggable.region().plug(0, 1);
      pluggable.region().plug((int) (1024 * GIB / BLOCK) - 1, 1);
      assertEquals(Map.of(128, "0+4096", 128 + 255, (1020 * 1024) + "+4096"), slots.now);
    }
  }

  @Test
  void whatKvmRefusesIsNotPlugged() {
    try (PluggableMemory pluggable = anonymous(300 * MIB)) {
      slots.refuseFrom = 129;
      assertThrows(LinuxException.class, () -> pluggable.region().plug(60, 8));
      assertEquals(Map.of(), slots.now);
      assertEquals(0, pluggable.region().pluggedBytes());
      slots.refuseFrom = Integer.MAX_VALUE;
      pluggable.region().plug(60, 8);
      assertEquals(2, slots.now.size());
    }
  }

  @Test
  void anUnpluggedBlocksMemoryIsTheHostsAgain() {
    try (PluggableMemory pluggable = anonymous(8 * MIB)) {
      checkThatWhatIsWrittenGoes(pluggable);
    }
  }

  private static void checkThatWhatIsWrittenGoes(PluggableMemory pluggable) {
    HotplugRegion region = pluggable.region();
    GuestMemory memory = memory(region);
    region.plug(0, 4);
    for (int block = 0; block < 4; block++) {
      memory.putLong(BASE + block * BLOCK + 0x1000, 7 + block);
    }
    region.unplug(1, 2);
    region.plug(1, 2);
    assertEquals(7, memory.getLong(BASE + 0x1000));
    assertEquals(0, memory.getLong(BASE + BLOCK + 0x1000));
    assertEquals(0, memory.getLong(BASE + 2 * BLOCK + 0x1000));
    assertEquals(10, memory.getLong(BASE + 3 * BLOCK + 0x1000));
  }

  /** Behind 2 MiB of RAM. */
  @Test
  void anUnpluggedBlocksPartOfAFileIsAHole() {
    try (Fd file = Fd.memory("guest", 10 * MIB);
        MemoryMapping all = MemoryMapping.shared(file, 0, 10 * MIB);
        PluggableMemory pluggable =
            new PluggableMemory(
                new HotplugLayout(BASE, 8 * MIB, BLOCK),
                slots,
                new MemoryFile(file, 4096),
                2 * MIB)) {
      checkThatWhatIsWrittenGoes(pluggable);
      assertEquals(10, all.segment().get(ValueLayout.JAVA_LONG, 8 * MIB + 0x1000));
      pluggable.region().unplugAll();
      assertEquals(0, all.segment().get(ValueLayout.JAVA_LONG, 8 * MIB + 0x1000));
    }
  }

  /** A device's thread may be at work on a block that its guest unplugs. */
  @Test
  void whoIsStillAtWorkOnAnUnpluggedBlockDoesNotDie() {
    try (PluggableMemory pluggable = anonymous(8 * MIB)) {
      pluggable.region().plug(0, 1);
      MemorySegment still = memory(pluggable.region()).slice(BASE, 8);
      pluggable.region().unplug(0, 1);
      still.set(ValueLayout.JAVA_LONG, 0, 1);
    }
  }

  /** Who creates a microVM closes what it handed over as soon as that is done. */
  @Test
  void theFileOfHugePagesIsKeptAfterItsOwnerHasClosedIt() {
    Fd file = Fd.sealedMemory("guest", 10 * MIB); // In small pages, which every machine has.
    MemoryFile asHuge = new MemoryFile(file, 2 * MIB);
    HotplugLayout layout = new HotplugLayout(BASE, 8 * MIB, BLOCK);
    try (MemoryMapping all = MemoryMapping.shared(file, 0, 10 * MIB);
        PluggableMemory pluggable = new PluggableMemory(layout, slots, asHuge, 2 * MIB)) {
      file.close();
      checkThatWhatIsWrittenGoes(pluggable);
      assertEquals(10, all.segment().get(ValueLayout.JAVA_LONG, 8 * MIB + 0x1000));
      pluggable.region().unplugAll();
      assertEquals(0, all.segment().get(ValueLayout.JAVA_LONG, 8 * MIB + 0x1000));
      assertEquals(0, pluggable.region().hostFailures());
    }
  }

  @Test
  void hugePagesAreTakenWhenTheyArePluggedAndGivenBack() {
    long free = hugePagesFree();
    assumeTrue(free >= 4, "no huge pages are set aside on this machine");
    try (Fd file = Fd.sealedHugeMemory("guest", 2 * MIB + 2 * free * BLOCK);
        PluggableMemory pluggable =
            new PluggableMemory(
                new HotplugLayout(BASE, 2 * free * BLOCK, BLOCK),
                slots,
                new MemoryFile(file, 2 * MIB),
                2 * MIB)) {
      assertEquals(free, hugePagesFree());
      HotplugRegion region = pluggable.region();
      region.plug(0, 2);
      assertEquals(free - 2, hugePagesFree());
      memory(region).putLong(BASE + BLOCK, 1);
      MemorySegment still = memory(region).slice(BASE + BLOCK, 8);
      region.unplug(1, 1);
      still.set(ValueLayout.JAVA_LONG, 0, 1);
      assertEquals(free - 1, hugePagesFree());
      assertThrows(LinuxException.class, () -> region.plug(1, (int) free));
      assertEquals(free - 1, hugePagesFree());
      assertEquals(BLOCK, region.pluggedBytes());
      region.unplugAll();
      assertEquals(free, hugePagesFree());
      assertEquals(0, region.hostFailures());
    }
  }

  private static long hugePagesFree() {
    try {
      for (String line : Files.readAllLines(Path.of("/proc/meminfo"))) {
        if (line.startsWith("HugePages_Free:")) {
          return Long.parseLong(line.replaceAll("\\D", ""));
        }
      }
      return 0;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** A driver takes neighbours for one buffer, which would be in two regions. */
  @Test
  void itsBaseIsAlignedAndNeverRightBehindRam() {
    List<Long> bases = new ArrayList<>();
    for (long mib : new long[] {16, 3072, 3073, 4096, 5000}) {
      bases.add(X86Machine.hotplugBaseFor(mib * MIB) / GIB);
    }
    assertEquals(List.of(4L, 4L, 5L, 6L, 6L), bases);
    assertEquals(2 * GIB, Arm64Machine.hotplugBaseFor(16 * MIB));
    assertEquals(3 * GIB, Arm64Machine.hotplugBaseFor(GIB));
    assertTrue(X86Machine.hotplugBaseFor(4096 * MIB) > 5 * GIB);
  }
}

package dev.vireo.vmm.virtio.block;

import static dev.vireo.vmm.virtio.block.DiskGuest.DISCARD;
import static dev.vireo.vmm.virtio.block.DiskGuest.IO_ERROR;
import static dev.vireo.vmm.virtio.block.DiskGuest.OK;
import static dev.vireo.vmm.virtio.block.DiskGuest.UNSUPPORTED;
import static dev.vireo.vmm.virtio.block.DiskGuest.WRITE_ZEROES;
import static dev.vireo.vmm.virtio.block.DiskGuest.ranges;
import static java.nio.charset.StandardCharsets.US_ASCII;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.kenai.jffi.LastError;
import dev.vireo.linux.Errno;
import dev.vireo.linux.Fd;
import dev.vireo.vmm.backend.DiskGeometry;
import dev.vireo.vmm.backend.FakeLibc;
import dev.vireo.vmm.backend.RateLimiter;
import dev.vireo.vmm.backend.RawFile;
import dev.vireo.vmm.virtio.block.BlockDevice.Engine;
import dev.vireo.vmm.virtio.block.BlockDevice.Settings;
import dev.vireo.vmm.virtio.block.DiskGuest.Range;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Discards and zeroes, from a guest's ring to the host's file (VIRTIO 1.2, section 5.2.6). */
@Timeout(30)
class DiskRangesTest {
  private static final int SECTORS = 1024;
  private static final int BYTES = SECTORS * 512;
  private static final int UNMAP = 1;

  @TempDir Path directory;

  private final byte[] content = new byte[BYTES];
  private Path path;

  @BeforeEach
  void createDisk() throws IOException {
    Arrays.fill(content, (byte) 0x5a);
    path = Files.write(directory.resolve("disk.raw"), content);
  }

  private DiskGuest guest() {
    return guest(new RawFile(Fd.open(path.toString(), Fd.O_RDWR), BYTES), false);
  }

  private static DiskGuest guest(RawFile file, boolean readOnly) {
    return new DiskGuest(new BlockDevice("disk0", file, Settings.simple(readOnly, line -> {})));
  }

  private void assertZeroed(int from, int to) throws IOException {
    byte[] expected = content.clone();
    Arrays.fill(expected, from * 512, to * 512, (byte) 0);
    assertArrayEquals(expected, Files.readAllBytes(path));
  }

  /** Sectors that the host has for the file. */
  private long blocksOnHost() throws IOException {
    Process stat = new ProcessBuilder("stat", "-c", "%b", path.toString()).start();
    return Long.parseLong(new String(stat.getInputStream().readAllBytes(), US_ASCII).trim());
  }

  @Test
  void theConfigurationHasTheirLimits() {
    try (DiskGuest guest = guest()) {
      assertEquals(1 << 22, guest.config(36, 4), "max_discard_sectors");
      assertEquals(32, guest.config(40, 4), "max_discard_seg");
      assertEquals(8, guest.config(44, 4), "discard_sector_alignment");
      assertEquals(1 << 17, guest.config(48, 4), "max_write_zeroes_sectors");
      assertEquals(32, guest.config(52, 4), "max_write_zeroes_seg");
      assertEquals(1, guest.config(56, 1), "write_zeroes_may_unmap");
      assertEquals(512, guest.config(20, 4), "blk_size");
      assertEquals(3, guest.config(24, 1), "physical_block_exp");
      assertEquals(8, guest.config(26, 2), "min_io_size");
      assertEquals(0, guest.config(34, 2), "num_queues without MQ");
    }
  }

  @Test
  void aDiscardMakesAHole() throws IOException {
    long before = blocksOnHost();
    try (DiskGuest guest = guest()) {
      assertEquals(
          OK, guest.request(DISCARD, 0, ranges(new Range(8, 64, 0), new Range(512, 512, 0)), 0));
      assertEquals((64 + 512) * 512, guest.count("bytes_discarded"));
      assertEquals(1, guest.count("requests_discard"));
    }
    byte[] expected = content.clone();
    Arrays.fill(expected, 8 * 512, 72 * 512, (byte) 0);
    Arrays.fill(expected, 512 * 512, BYTES, (byte) 0);
    assertArrayEquals(expected, Files.readAllBytes(path));
    assertEquals(before - 64 - 512, blocksOnHost());
  }

  @ParameterizedTest
  @ValueSource(ints = {0, UNMAP})
  void zeroesReadAsZeroesAndTheNeighboursStay(int flags) throws IOException {
    try (DiskGuest guest = guest()) {
      assertEquals(OK, guest.request(WRITE_ZEROES, 0, ranges(new Range(3, 100, flags)), 0));
      assertEquals(100 * 512, guest.count("bytes_zeroed"));
    }
    assertZeroed(3, 103);
  }

  @Test
  void zeroesThatMayNotBeUnmappedKeepTheirBlocks() throws IOException {
    long before = blocksOnHost();
    try (DiskGuest guest = guest()) {
      assertEquals(OK, guest.request(WRITE_ZEROES, 0, ranges(new Range(0, SECTORS, 0)), 0));
      assertEquals(before, blocksOnHost());
      assertEquals(OK, guest.request(WRITE_ZEROES, 0, ranges(new Range(0, SECTORS, UNMAP)), 0));
      assertTrue(blocksOnHost() < before);
    }
  }

  @ParameterizedTest
  @CsvSource({
    "11, 1", // 5.2.6.2: unmap is not for discards
    "11, 2",
    "11, 0x80000000",
    "13, 2",
    "13, 3",
    "13, 0x80000000"
  })
  void aFlagThatIsNotKnownIsUnsupported(int type, String flags) throws IOException {
    try (DiskGuest guest = guest()) {
      Range range = new Range(0, 8, Long.decode(flags).intValue());
      assertEquals(UNSUPPORTED, guest.request(type, 0, ranges(range), 0));
      assertEquals(1, guest.count("requests_unsupported"));
    }
    assertArrayEquals(content, Files.readAllBytes(path));
  }

  @ParameterizedTest
  @CsvSource({
    "1024, 1, errors_out_of_range",
    "1023, 2, errors_out_of_range",
    "-1, 1, errors_out_of_range",
    "0x7fffffffffffffff, 1, errors_out_of_range",
    "0x80000000000000, 1, errors_out_of_range", // times 512 is 2^64
    "0, 0xffffffff, errors_malformed",
    "0, 0x80000000, errors_malformed",
    "0, 0x400001, errors_malformed", // one more than the limit of either
  })
  void aRangeThatIsNotOnTheDiskIsRefusedAndTheOneBeforeStays(
      String sector, String sectors, String counter) throws IOException {
    for (int type : new int[] {DISCARD, WRITE_ZEROES}) {
      try (DiskGuest guest = guest()) {
        Range bad = new Range(Long.decode(sector), Long.decode(sectors), 0);
        assertEquals(IO_ERROR, guest.request(type, 0, ranges(new Range(0, 8, 0), bad), 0));
        assertEquals(1, guest.count(counter));
      }
      assertArrayEquals(content, Files.readAllBytes(path));
    }
  }

  @Test
  void aRangeMayBeEmptyOrEndWithTheDisk() throws IOException {
    try (DiskGuest guest = guest()) {
      assertEquals(OK, guest.request(WRITE_ZEROES, 0, ranges(new Range(SECTORS - 1, 1, 0)), 0));
    }
    assertZeroed(SECTORS - 1, SECTORS);
  }

  @ParameterizedTest
  @ValueSource(ints = {0, 1, 15, 17, 33 * 16})
  void partsOfRangesOrTooManyAreRefused(int length) throws IOException {
    try (DiskGuest guest = guest()) {
      assertEquals(IO_ERROR, guest.request(DISCARD, 0, new byte[length], 0));
      assertEquals(IO_ERROR, guest.request(WRITE_ZEROES, 0, new byte[length], 0));
      assertEquals(2, guest.count("errors_malformed"));
      Range[] most = new Range[32];
      Arrays.fill(most, new Range(0, 1, 0));
      assertEquals(OK, guest.request(WRITE_ZEROES, 0, ranges(most), 0));
    }
    assertZeroed(0, 1);
  }

  @Test
  void whatWasNotNegotiatedIsUnsupported() throws IOException {
    try (DiskGuest guest = guest()) {
      guest.initialize(0);
      byte[] range = ranges(new Range(0, 8, 0));
      assertEquals(UNSUPPORTED, guest.request(DISCARD, 0, range, 0));
      assertEquals(UNSUPPORTED, guest.request(WRITE_ZEROES, 0, range, 0));
    }
    assertArrayEquals(content, Files.readAllBytes(path));
  }

  @Test
  void aReadOnlyDiskIsNotChanged() throws IOException {
    try (DiskGuest guest = guest(new RawFile(Fd.open(path.toString(), Fd.O_RDWR), BYTES), true)) {
      assertEquals(0, guest.driver.deviceFeatures() & BlockFeature.DISCARD);
      byte[] range = ranges(new Range(0, 8, 0));
      assertEquals(IO_ERROR, guest.request(DISCARD, 0, range, 0));
      assertEquals(IO_ERROR, guest.request(WRITE_ZEROES, 0, range, 0));
      assertEquals(2, guest.count("errors_read_only"));
      assertEquals(0, guest.config(36, 4));
      assertEquals(0, guest.config(48, 4));
    }
    assertArrayEquals(content, Files.readAllBytes(path));
  }

  @Test
  void aFileSystemThatCannotPunchHolesGetsZeroesWritten() throws IOException {
    FakeLibc libc = new FakeLibc((function, arguments) -> unsupported(function));
    RawFile file =
        new RawFile(
            libc.libc(), Fd.open(path.toString(), Fd.O_RDWR), null, DiskGeometry.ofFile(BYTES));
    try (DiskGuest guest = guest(file, false)) {
      assertEquals(OK, guest.request(WRITE_ZEROES, 0, ranges(new Range(1, 700, UNMAP)), 0));
      assertEquals(UNSUPPORTED, guest.request(DISCARD, 0, ranges(new Range(800, 8, 0)), 0));
    }
    assertZeroed(1, 701);
  }

  private static @Nullable Object unsupported(String function) {
    if (!function.equals("fallocate")) {
      return null;
    }
    LastError.getInstance().set(Errno.EOPNOTSUPP);
    return -1;
  }

  @Test
  void aBlockDeviceIsAskedByItsOwnCalls() {
    List<Long> requests = new ArrayList<>();
    FakeLibc libc =
        new FakeLibc((function, arguments) -> {
          if (!function.equals("ioctl")) {
            return null;
          }
          requests.add((long) arguments[1]);
          return 0;
        });
    DiskGeometry device = new DiskGeometry(BYTES, 512, 4096, 4, true, true);
    RawFile file = new RawFile(libc.libc(), Fd.open(path.toString(), Fd.O_RDWR), null, device);
    try (DiskGuest guest = guest(file, false)) {
      assertEquals(OK, guest.request(DISCARD, 0, ranges(new Range(8, 8, 0)), 0));
      assertEquals(OK, guest.request(WRITE_ZEROES, 0, ranges(new Range(8, 8, UNMAP)), 0));
    }
    assertEquals(List.of(0x1277L, 0x127fL), requests, "BLKDISCARD, BLKZEROOUT");
    assertFalse(libc.calls().contains("fallocate"));
  }

  @Test
  void aBlockDeviceThatCannotDiscardDoesNotOfferIt() {
    DiskGeometry device = new DiskGeometry(BYTES, 512, 512, 4, true, false);
    RawFile file = new RawFile(Fd.open(path.toString(), Fd.O_RDWR), null, device);
    try (DiskGuest guest = guest(file, false)) {
      assertEquals(0, guest.driver.deviceFeatures() & BlockFeature.DISCARD);
      assertEquals(UNSUPPORTED, guest.request(DISCARD, 0, ranges(new Range(8, 8, 0)), 0));
      assertEquals(0, guest.config(36, 4));
      assertEquals(0, guest.config(56, 1));
    }
  }

  @Test
  void zeroesAreDurableAtOnceForADriverThatDoesNotFlush() {
    FakeLibc libc = new FakeLibc((function, arguments) -> null);
    RawFile file =
        new RawFile(
            libc.libc(), Fd.open(path.toString(), Fd.O_RDWR), null, DiskGeometry.ofFile(BYTES));
    Settings settings = new Settings(false, 1, RateLimiter.UNLIMITED, Engine.THREAD, line -> {});
    try (DiskGuest guest = new DiskGuest(new BlockDevice("disk0", file, settings))) {
      guest.initialize(BlockFeature.WRITE_ZEROES);
      assertEquals(OK, guest.request(WRITE_ZEROES, 0, ranges(new Range(8, 8, 0)), 0));
      assertEquals(List.of("fallocate", "fdatasync"), libc.calls());
    }
  }
}

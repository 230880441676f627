package dev.vireo.vmm.virtio.block;

import static dev.vireo.vmm.virtio.block.DiskGuest.DISCARD;
import static dev.vireo.vmm.virtio.block.DiskGuest.FLUSH;
import static dev.vireo.vmm.virtio.block.DiskGuest.IO_ERROR;
import static dev.vireo.vmm.virtio.block.DiskGuest.OK;
import static dev.vireo.vmm.virtio.block.DiskGuest.WRITE_ZEROES;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.vireo.catalog.BackEnd;
import dev.vireo.linux.Fd;
import dev.vireo.vmm.backend.DiskGeometry;
import dev.vireo.vmm.backend.RateLimiter;
import dev.vireo.vmm.backend.RawFile;
import dev.vireo.vmm.virtio.block.BlockDevice.Engine;
import dev.vireo.vmm.virtio.block.BlockDevice.Settings;
import dev.vireo.vmm.virtio.block.DiskGuest.Range;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/**
 * Disks on this machine's own file systems and block devices, which fill up and shrink: the guest
 * sees an error, the log says so once, and what is still there is served. Needs the right to mount
 * and to make loop devices.
 */
@Timeout(60)
class RealDisksTest {
  private static final int BYTES = 1 << 20;
  private static final int CHUNK_SECTORS = 7;
  private static final int CHUNK = CHUNK_SECTORS * 512;

  @TempDir Path directory;

  private final byte[] content = new byte[BYTES];
  private final List<String> log = new CopyOnWriteArrayList<>();
  private Path path;

  @BeforeEach
  void createDisk() throws IOException {
    for (int i = 0; i < BYTES; i++) {
      content[i] = (byte) (i / 512 * 5 + i);
    }
    path = Files.write(directory.resolve("disk.raw"), content);
  }

  private DiskGuest guest(Fd fd, DiskGeometry geometry, Engine engine) {
    Settings settings = new Settings(false, 1, RateLimiter.UNLIMITED, engine, log::add);
    DiskGuest guest =
        new DiskGuest(new BlockDevice("disk0", new RawFile(fd, null, geometry), settings));
    if (engine == Engine.IO_URING && guest.device().backEnd() != BackEnd.BLK_IO_URING) {
      guest.close();
      Assumptions.abort("no io_uring here: " + log);
    }
    return guest;
  }

  private static byte[] chunk(int value) {
    byte[] bytes = new byte[CHUNK];
    Arrays.fill(bytes, (byte) value);
    return bytes;
  }

  private static String run(String... command) throws IOException, InterruptedException {
    Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
    String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    if (process.waitFor() != 0) {
      Assumptions.abort(String.join(" ", command) + ": " + output);
    }
    return output.strip();
  }

  /**
   * A file system of so many bytes, in a mount namespace of its own: it is gone with the process
   * that holds that, which ends with its input, ours.
   */
  private final class SmallFileSystem implements AutoCloseable {
    private final Process holder;
    final Path root;

    SmallFileSystem(int bytes) throws IOException {
      Path point = Files.createDirectory(directory.resolve("small"));
      String mount =
          "mount -t tmpfs -o size=" + bytes + " tmpfs '" + point + "' && echo mounted && exec cat";
      holder =
          new ProcessBuilder("unshare", "--mount", "--propagation", "private", "sh", "-c", mount)
              .redirectErrorStream(true)
              .start();
      String answer = holder.inputReader().readLine();
      if (!"mounted".equals(answer)) {
        holder.destroyForcibly();
        Assumptions.abort("no mount namespace here: " + answer);
      }
      root = Path.of("/proc/" + holder.pid() + "/root" + point);
    }

    /** A file that says to have as many bytes as the disk, and has none yet. */
    Path sparseDisk() throws IOException {
      Path disk = root.resolve("disk.raw");
      try (RandomAccessFile file = new RandomAccessFile(disk.toFile(), "rw")) {
        file.setLength(BYTES);
      }
      return disk;
    }

    @Override
    public void close() {
      holder.destroyForcibly();
    }
  }

  /** A block device whose blocks are in a file; taken away by a process that ends as above. */
  private static final class LoopDevice implements AutoCloseable {
    private final Process holder;
    final String path;

    LoopDevice(Path file) throws IOException {
      String attach =
          "device=$(losetup --find --show \"$0\") && echo $device && cat && losetup --detach $device";
      holder =
          new ProcessBuilder("sh", "-c", attach, file.toString()).redirectErrorStream(true).start();
      path = holder.inputReader().readLine();
      if (path == null || !path.startsWith("/dev/")) {
        holder.destroyForcibly();
        Assumptions.abort("no loop device here: " + path);
      }
    }

    Fd open() {
      return Fd.open(path, Fd.O_RDWR);
    }

    DiskGeometry geometry() throws IOException, InterruptedException {
      long bytes = Long.parseLong(run("blockdev", "--getsize64", path));
      return new DiskGeometry(bytes, 512, 512, 1, true, true);
    }

    @Override
    public void close() throws IOException {
      holder.getOutputStream().close();
      holder.onExit().join();
    }
  }

  private byte[] inFile(int sector, int length) throws IOException {
    return Arrays.copyOfRange(Files.readAllBytes(path), sector * 512, sector * 512 + length);
  }

  @ParameterizedTest
  @EnumSource(names = {"THREAD", "IO_URING"})
  void aFullFileSystemFailsWritesUntilTheGuestHasDiscardedSomething(Engine engine)
      throws IOException {
    try (SmallFileSystem small = new SmallFileSystem(64 << 10);
        DiskGuest guest =
            guest(
                Fd.open(small.sparseDisk().toString(), Fd.O_RDWR),
                DiskGeometry.ofFile(BYTES),
                engine)) {
      int written = 0;
      while (guest.write((long) written * CHUNK_SECTORS, chunk(written + 1)) == OK) {
        written++;
      }
      assertTrue(written > 0 && written * CHUNK <= 64 << 10, written + " chunks");
      for (int i = 1; i < 4; i++) {
        assertEquals(IO_ERROR, guest.write((written + i * 2L) * CHUNK_SECTORS, chunk(0)));
      }
      assertEquals(4, guest.count("errors_no_space"));
      assertEquals(1, log.size(), log::toString);
      assertTrue(log.getFirst().startsWith("disk disk0: ENOSPC"), log.getFirst());

      assertEquals(OK, guest.read(CHUNK_SECTORS, CHUNK));
      assertArrayEquals(chunk(2), guest.data(0, 0, CHUNK));
      assertEquals(OK, guest.write(0, chunk(99)), "it has its block");
      assertEquals(OK, guest.request(FLUSH, 0, new byte[0], 0));

      assertEquals(OK, guest.request(DISCARD, 0, DiskGuest.ranges(new Range(0, 32, 0)), 0));
      assertEquals(OK, guest.write((long) written * CHUNK_SECTORS, chunk(77)));
      assertEquals(OK, guest.read((long) written * CHUNK_SECTORS, CHUNK));
      assertArrayEquals(chunk(77), guest.data(0, 0, CHUNK));
    }
  }

  @ParameterizedTest
  @EnumSource(names = {"THREAD", "IO_URING"})
  void aBlockDeviceIsReadWrittenFlushedDiscardedAndZeroed(Engine engine)
      throws IOException, InterruptedException {
    try (LoopDevice loop = new LoopDevice(path);
        DiskGuest guest = guest(loop.open(), loop.geometry(), engine)) {
      assertEquals(BYTES / 512, guest.config(0, 4), "capacity");
      int last = BYTES / 512 - CHUNK_SECTORS;
      assertEquals(OK, guest.read(last, CHUNK));
      assertArrayEquals(inFile(last, CHUNK), guest.data(0, 0, CHUNK));
      assertEquals(IO_ERROR, guest.read(last + 1, CHUNK));

      assertEquals(OK, guest.write(last, chunk(42)));
      assertEquals(OK, guest.request(FLUSH, 0, new byte[0], 0));
      assertArrayEquals(chunk(42), inFile(last, CHUNK));

      assertEquals(OK, guest.request(DISCARD, 0, DiskGuest.ranges(new Range(64, 64, 0)), 0));
      assertArrayEquals(new byte[64 * 512], inFile(64, 64 * 512), "a hole");
      assertEquals(OK, guest.request(WRITE_ZEROES, 0, DiskGuest.ranges(new Range(200, 8, 0)), 0));
      assertEquals(OK, guest.read(200, CHUNK));
      assertArrayEquals(new byte[CHUNK], guest.data(0, 0, CHUNK));
      assertArrayEquals(Arrays.copyOfRange(content, 208 * 512, 209 * 512), inFile(208, 512));
      assertEquals(List.of(), log);
    }
  }

  @ParameterizedTest
  @EnumSource(names = {"THREAD", "IO_URING"})
  void aBlockDeviceThatShrinksFailsWhatIsGone(Engine engine)
      throws IOException, InterruptedException {
    try (LoopDevice loop = new LoopDevice(path);
        DiskGuest guest = guest(loop.open(), loop.geometry(), engine)) {
      assertEquals(OK, guest.read(1500, 512));
      try (RandomAccessFile file = new RandomAccessFile(path.toFile(), "rw")) {
        file.setLength(BYTES / 2);
      }
      run("losetup", "--set-capacity", loop.path);
      for (int i = 0; i < 3; i++) {
        assertEquals(IO_ERROR, guest.read(1500 + i, 512));
      }
      assertEquals(IO_ERROR, guest.write(1500, chunk(1)));
      assertEquals(IO_ERROR, guest.read(BYTES / 1024 - 1, 1024), "ends within");
      assertEquals(OK, guest.read(BYTES / 1024 - 1, 512));
      assertArrayEquals(inFile(BYTES / 1024 - 1, 512), guest.data(0, 0, 512));
      assertEquals(5, guest.count("errors_input_output") + guest.count("errors_no_space"));
      assertTrue(log.size() <= 2, log::toString); // One for each of the two.
    }
  }

  /** As a device of thin blocks does it that has run out of them: writes are answered before. */
  @ParameterizedTest
  @EnumSource(names = {"THREAD", "IO_URING"})
  void aBlockDeviceThatCannotKeepWhatItTookFailsTheFlush(Engine engine)
      throws IOException, InterruptedException {
    try (SmallFileSystem small = new SmallFileSystem(64 << 10);
        LoopDevice loop = new LoopDevice(small.sparseDisk());
        DiskGuest guest = guest(loop.open(), loop.geometry(), engine)) {
      for (int i = 0; i < 64; i++) {
        assertEquals(OK, guest.write((long) i * CHUNK_SECTORS, chunk(i + 1)));
      }
      // A loop device takes a write that got on for a part for all of it.
      int ignored = guest.request(FLUSH, 0, new byte[0], 0);
      assertEquals(OK, guest.write(1500, chunk(88)));
      assertEquals(IO_ERROR, guest.request(FLUSH, 0, new byte[0], 0));
      assertTrue(guest.count("errors_input_output") + guest.count("errors_no_space") > 0);
      assertEquals(1, log.size(), log::toString);
      assertEquals(OK, guest.read(0, CHUNK));
      assertArrayEquals(chunk(1), guest.data(0, 0, CHUNK));
    }
  }
}

package dev.vireo.worker.microvm;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeFalse;

import dev.vireo.images.Architecture;
import dev.vireo.images.container.ContainerImage;
import dev.vireo.images.container.ContainerImageCache;
import dev.vireo.images.container.ImageId;
import dev.vireo.worker.state.StateDirectory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A microVM's image in a cache on another file system, where it can be removed under it. */
class ContainerRootTest {
  private static final Path OTHER_FILE_SYSTEM = Path.of("/dev/shm");

  @TempDir private Path temporary;
  private ContainerImageCache cache;
  private ContainerImage image;
  private Path directory;

  @BeforeEach
  void makeImage() throws Exception {
    assumeFalse(
        Files.getFileStore(temporary).equals(Files.getFileStore(OTHER_FILE_SYSTEM)),
        "there is one file system");
    directory = Files.createTempDirectory(OTHER_FILE_SYSTEM, "vireo-root");
    cache = ContainerImageCache.of(temporary.resolve("cache"));
    image =
        cache.obtain(
            new ImageId("d".repeat(64)),
            building -> {
              Files.writeString(building.resolve(ContainerImage.ROOT_FILE), "squashfs");
              return new ContainerImage.Settings(
                  Architecture.X86_64,
                  List.of("/tool"),
                  List.of(),
                  List.of(),
                  "",
                  "",
                  List.of(),
                  "",
                  Optional.empty());
            });
  }

  @AfterEach
  void removeDirectory() throws Exception {
    if (directory != null) {
      StateDirectory.removeTree(directory);
    }
  }

  @Test
  void itIsHeldUntilTheMicroVmLeaves() throws Exception {
    ContainerRoot root = new ContainerRoot(directory);
    root.keep(image);
    assertTrue(Files.isSymbolicLink(root.path()));
    assertTrue(cache.list().getFirst().inUse());
    assertEquals(List.of(), cache.prune(Long.MAX_VALUE).removed());
    assertEquals("squashfs", Files.readString(root.path()));

    root.letGo();
    assertEquals(List.of(image), cache.prune(Long.MAX_VALUE).removed());
  }

  @Test
  void aSuccessorHoldsItAgain() throws Exception {
    ContainerRoot before = new ContainerRoot(directory);
    before.keep(image);
    before.letGo();
    ContainerRoot root = new ContainerRoot(directory);
    root.takeBack();
    assertEquals(List.of(), cache.prune(Long.MAX_VALUE).removed());
    root.letGo();
    assertEquals(List.of(image), cache.prune(Long.MAX_VALUE).removed());
  }

  /** A worker that was killed before it could write down that there is one. */
  @Test
  void oneThatIsThereAlreadyIsReplacedAndHeldOnce() throws Exception {
    ContainerRoot before = new ContainerRoot(directory);
    before.keep(image);
    before.letGo();
    ContainerRoot root = new ContainerRoot(directory);
    root.takeBack();
    root.keep(image);
    assertEquals(List.of(), cache.prune(Long.MAX_VALUE).removed());
    root.letGo();
    assertEquals(List.of(image), cache.prune(Long.MAX_VALUE).removed());
  }

  @Test
  void oneThatIsGoneAlreadyIsNotHeld() throws Exception {
    ContainerRoot before = new ContainerRoot(directory);
    before.keep(image);
    before.letGo();
    cache.remove(image.id());
    ContainerRoot root = new ContainerRoot(directory);
    root.takeBack();
    root.letGo();
  }
}

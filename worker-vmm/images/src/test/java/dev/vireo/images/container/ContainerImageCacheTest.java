package dev.vireo.images.container;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.vireo.images.Architecture;
import dev.vireo.images.ImageException;
import dev.vireo.images.ImageException.Reason;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A cache of images, among several processes of which any may be killed. */
class ContainerImageCacheTest {
  private static final int ROOT_BYTES = 1000;

  @TempDir private Path directory = Path.of("");

  private final AtomicInteger made = new AtomicInteger();
  private Instant now = Instant.parse("2026-01-01T00:00:00Z");
  private long otherBytes;

  /** A disk of 10,000 bytes. */
  private long freeBytes() throws IOException {
    try (Stream<Path> files = Files.walk(directory)) {
      long roots = files.filter(file -> file.endsWith(ContainerImage.ROOT_FILE)).count();
      return 10_000 - otherBytes - roots * ROOT_BYTES;
    }
  }

  private ContainerImageCache cache() {
    return new ContainerImageCache(directory, this::freeBytes, () -> now);
  }

  @Test
  void anImageIsMadeOnce() throws Exception {
    ContainerImage image = obtain(1);
    obtain(1);

    assertEquals(1, made.get());
    assertEquals(Optional.of(image), cache().find(id(1)));
    assertEquals(ROOT_BYTES, image.rootBytes());
    assertEquals(settings(), image.settings());
  }

  @Test
  void ofManyThatWantItOneMakesIt() throws Exception {
    try (var threads = Executors.newFixedThreadPool(8)) {
      Callable<ContainerImage> task = () -> obtain(1);
      for (Future<ContainerImage> result :
          threads.invokeAll(IntStream.range(0, 8).mapToObj(i -> task).toList())) {
        assertEquals(id(1), result.get().id());
      }
    }

    assertEquals(1, made.get());
  }

  @Test
  void whatCannotBeMadeLeavesNothing() throws Exception {
    assertThrows(
        IOException.class,
        () ->
            cache()
                .obtain(
                    id(1),
                    building -> {
                      Files.write(building.resolve(ContainerImage.ROOT_FILE), new byte[5]);
                      throw new IOException("No space left on device");
                    }));

    assertEquals(Optional.empty(), cache().find(id(1)));
    assertEquals(List.of(".lock"), files());
  }

  @Test
  void whatAKilledPullHasLeftIsRemoved() throws Exception {
    obtain(1);
    Path left = Files.createDirectory(directory.resolve(".sha256-" + id(2).hex() + ".building"));
    Files.writeString(left.resolve("half"), "half");
    Files.createDirectory(directory.resolve(".sha256-" + id(3).hex() + ".removed"));

    cache().sweep();

    assertEquals(List.of(".lock", "sha256-" + id(1).hex()), files());
  }

  @Test
  void whatAnotherProcessMakesStays() throws Exception {
    List<String> seen = new ArrayList<>();
    cache()
        .obtain(
            id(1),
            building -> {
              try (OtherProcess other = new OtherProcess(directory)) {
                other.ask("sweep");
                other.ask("prune");
              }
              seen.addAll(files());
              Files.write(building.resolve(ContainerImage.ROOT_FILE), new byte[1]);
              return settings();
            });

    assertEquals(List.of(".lock", ".sha256-" + id(1).hex() + ".building"), seen);
  }

  @Test
  void anImageThatAnotherProcessUsesStays() throws Exception {
    obtain(1);
    try (OtherProcess other = new OtherProcess(directory)) {
      other.ask("use " + id(1));

      assertTrue(cache().list().getFirst().inUse());
      assertEquals(List.of(), cache().prune(Long.MAX_VALUE).removed());
      assertEquals(
          Reason.IMAGE_IN_USE,
          assertThrows(ImageException.class, () -> cache().remove(id(1))).reason());
      other.kill();
    }

    assertEquals(1, cache().prune(Long.MAX_VALUE).removed().size());
    assertEquals(List.of(".lock"), files());
  }

  @Test
  void anImageIsInUseUntilTheLastOfItsUsesEnds() throws Exception {
    obtain(1);
    var first = cache().use(id(1));
    var second = cache().use(id(1));
    first.close();
    first.close();

    assertEquals(List.of(), cache().prune(Long.MAX_VALUE).removed());

    second.close();
    assertEquals(1, cache().prune(Long.MAX_VALUE).removed().size());
    assertEquals(
        Reason.IMAGE_UNKNOWN,
        assertThrows(ImageException.class, () -> cache().use(id(1))).reason());
  }

  @Test
  void namesAreForImages() throws Exception {
    obtain(1);
    obtain(2);
    ImageName name = ImageName.parse("x");
    cache().name(name, id(1));
    cache().name(ImageName.parse("localhost:5000/" + "y/".repeat(100) + "z"), id(1));
    assertEquals(id(1), cache().find(name).orElseThrow().id());

    cache().name(name, id(2));

    assertEquals(id(2), cache().find(name).orElseThrow().id());
    assertEquals(2, cache().names().size());
    assertEquals(Optional.empty(), cache().find(ImageName.parse("other")));
  }

  @Test
  void anImageGoesWithItsLastName() throws Exception {
    obtain(1);
    cache().name(ImageName.parse("a"), id(1));
    cache().name(ImageName.parse("b"), id(1));

    assertFalse(cache().remove(ImageName.parse("a")));
    assertTrue(cache().find(id(1)).isPresent());
    assertTrue(cache().remove(ImageName.parse("b")));

    assertEquals(Optional.empty(), cache().find(id(1)));
    assertThrows(ImageException.class, () -> cache().remove(ImageName.parse("b")));
  }

  @Test
  void removedByItsIdAnImageLosesItsNames() throws Exception {
    obtain(1);
    cache().name(ImageName.parse("a"), id(1));

    cache().remove(id(1));

    assertEquals(List.of(), cache().names());
    assertEquals(Optional.empty(), cache().find(ImageName.parse("a")));
  }

  @Test
  void pruneBeginsWithWhatWasNotUsedForTheLongest() throws Exception {
    for (int number = 1; number <= 4; number++) {
      obtain(number);
      cache().name(ImageName.parse("n" + number), id(number));
      use(number);
    }
    use(1);
    otherBytes = 5000;
    assertEquals(1000, freeBytes());

    ContainerImageCache.Pruned pruned = cache().prune(2500);

    assertEquals(List.of(id(2), id(3)), pruned.removed().stream().map(ContainerImage::id).toList());
    assertEquals(3000, pruned.freeBytes());
    assertEquals(
        List.of(id(4), id(1)), cache().list().stream().map(listed -> listed.image().id()).toList());
  }

  @Test
  void pruneRemovesWhatHasNoName() throws Exception {
    obtain(1);
    obtain(2);
    cache().name(ImageName.parse("a"), id(2));

    assertEquals(1, cache().prune(0).removed().size());
    assertTrue(cache().find(id(2)).isPresent());
  }

  @Test
  void anImageStaysUntilItHasItsName() throws Exception {
    try (ContainerImageCache.Use use = cache().obtainInUse(id(1), maker())) {
      assertEquals(List.of(), cache().prune(Long.MAX_VALUE).removed());
      cache().name(ImageName.parse("a"), use.image().id());
    }

    assertEquals(List.of(), cache().prune(0).removed());
  }

  @Test
  void anImageThatIsNamedAfterPruneHasBegunStays() throws Exception {
    int images = 40;
    ContainerImageCache cache = new ContainerImageCache(directory, () -> Long.MAX_VALUE, () -> now);
    for (int number = 1; number <= images; number++) {
      obtain(number);
    }
    Path first = directory.resolve("sha256-" + id(1).hex());
    List<ImageName> named = new ArrayList<>();
    try (ExecutorService threads = Executors.newSingleThreadExecutor()) {
      Future<ContainerImageCache.Pruned> pruning = threads.submit(() -> cache.prune(0));
      while (Files.exists(first) && !pruning.isDone()) {
        Thread.onSpinWait();
      }
      for (int number = images;
          !pruning.isDone() && Files.exists(directory.resolve("sha256-" + id(number).hex()));
          number--) {
        ImageName name = ImageName.parse("a" + number);
        if (useAndName(number, name)) {
          named.add(name);
        }
      }
      assertTrue(pruning.get().removed().size() <= images - named.size());
    }

    for (ImageName name : named) {
      assertTrue(cache().find(name).isPresent(), name::toString);
    }
  }

  private boolean useAndName(int number, ImageName name) throws Exception {
    try (ContainerImageCache.Use use = cache().use(id(number))) {
      cache().name(name, use.image().id());
      return true;
    } catch (ImageException e) {
      assertEquals(Reason.IMAGE_UNKNOWN, e.reason(), "prune was faster");
      return false;
    }
  }

  @Test
  void anImageThatIsNamedMeanwhileIsNotPruned() throws Exception {
    ContainerImageCache cache = new ContainerImageCache(directory, () -> Long.MAX_VALUE, () -> now);
    AtomicBoolean ended = new AtomicBoolean();
    try (ExecutorService threads = Executors.newSingleThreadExecutor()) {
      Future<Boolean> pruning =
          threads.submit(() -> {
            while (!ended.get()) {
              var _ = cache.prune(0);
            }
            return true;
          });
      try {
        for (int round = 0; round < 50 && !pruning.isDone(); round++) {
          ImageName name = ImageName.parse("a" + round);
          try (ContainerImageCache.Use use = cache.obtainInUse(id(1), maker())) {
            cache.name(name, use.image().id());
          }
          assertTrue(cache.find(name).isPresent(), name::toString);
          cache.remove(name);
        }
      } finally {
        ended.set(true);
      }
      assertTrue(pruning.get());
    }
  }

  @Test
  void aNameWithoutItsImageIsRemoved() throws Exception {
    cache().name(ImageName.parse("a"), id(1));
    Path half = Files.writeString(directory.resolve("names/.1.tmp"), "half");
    Files.setLastModifiedTime(half, FileTime.from(now.minus(Duration.ofHours(2))));

    cache().sweep();

    assertEquals(List.of(), cache().names());
    assertFalse(Files.exists(half));
  }

  @Test
  void aNameThatCannotBeReadIsNoneAndIsRemoved() throws Exception {
    obtain(1);
    cache().name(ImageName.parse("a"), id(1));
    Path empty = Files.createFile(directory.resolve("names/x"));
    Path bytes = Files.write(directory.resolve("names/y"), new byte[] {(byte) 0xff, '\n', '\n'});
    Path words = Files.writeString(directory.resolve("names/z"), "a\nno ID\n");

    assertEquals(1, cache().names().size());
    assertEquals(1, cache().list().size());
    assertEquals(1, cache().held().size());
    assertEquals(List.of(), cache().prune(0).removed());
    for (Path file : List.of(empty, bytes, words)) {
      assertFalse(Files.exists(file), file::toString);
    }
    assertEquals(id(1), cache().find(ImageName.parse("a")).orElseThrow().id());
  }

  @Test
  void anImageThatCannotBeReadIsNotListedAndIsPruned() throws Exception {
    obtain(1);
    obtain(2);
    cache().name(ImageName.parse("a"), id(1));
    cache().name(ImageName.parse("b"), id(2));
    Files.writeString(directory.resolve("sha256-" + id(1).hex() + "/image.properties"), "");

    assertEquals(
        List.of(id(2)), cache().list().stream().map(listed -> listed.image().id()).toList());
    assertEquals(
        Reason.IMAGE_INVALID,
        assertThrows(ImageException.class, () -> cache().find(ImageName.parse("a"))).reason());

    assertEquals(List.of(), cache().prune(0).removed());
    assertEquals(Optional.empty(), cache().find(ImageName.parse("a")));
    assertTrue(cache().find(ImageName.parse("b")).isPresent());
  }

  @Test
  void anImageThatIsBrokenIsNotHeldAndIsMadeAgain() throws Exception {
    ContainerImageCache cache = cache();
    ContainerImage image = obtain(1);
    cache.name(ImageName.parse("a"), id(1));
    assertEquals(1, cache.held().size());
    Path properties = directory.resolve("sha256-" + id(1).hex() + "/image.properties");
    Files.writeString(properties, "");
    Files.setLastModifiedTime(properties, FileTime.from(now));

    assertEquals(List.of(), cache.held());

    assertEquals(image, obtain(1));
    assertEquals(2, made.get());
    assertEquals(List.of(ImageName.parse("a")), cache.held().getFirst().names());
    assertEquals(List.of(".lock", "names", "sha256-" + id(1).hex()), files());
  }

  @Test
  void aBrokenImageThatCannotBeMadeAgainStaysAsItIs() throws Exception {
    Path root = obtain(1).root();
    cache().name(ImageName.parse("a"), id(1));
    Files.writeString(root.resolveSibling("image.properties"), "");
    assertThrows(
        IOException.class,
        () ->
            cache()
                .obtain(
                    id(1),
                    _ -> {
                      throw new IOException("the registry is away");
                    }));
    assertEquals(1, cache().names().size());

    Path link = Files.createLink(directory.resolve("container-root"), root);
    assertEquals(
        Reason.IMAGE_INVALID, assertThrows(ImageException.class, () -> obtain(1)).reason());

    Files.delete(link);
    assertEquals(id(1), obtain(1).id());
  }

  @Test
  void aBrokenImageThatIsInUseIsNotWaitedFor() throws Exception {
    Path root = obtain(1).root();
    try (ContainerImageCache.Use _ = cache().use(id(1))) {
      Files.writeString(root.resolveSibling("image.properties"), "");

      assertEquals(
          Reason.IMAGE_INVALID, assertThrows(ImageException.class, () -> obtain(1)).reason());
    }
    assertEquals(id(1), obtain(1).id());
  }

  @Test
  void anImageThatIsGoneAgainEachTimeIsNotMadeForEver() throws Exception {
    Files.createDirectories(directory);
    Files.writeString(directory.resolve("sha256-" + id(1).hex()), "in the way");

    assertThrows(ImageException.class, () -> cache().obtainInUse(id(1), maker()));
  }

  @Test
  void anImageThatCannotBeReadJustNowIsNotListedAndStays() throws Exception {
    obtain(1);
    Path properties = directory.resolve("sha256-" + id(1).hex() + "/image.properties");
    byte[] content = Files.readAllBytes(properties);
    Files.delete(properties);
    Files.createDirectory(properties); // Reading it is an error of the system's.

    assertEquals(List.of(), cache().list());
    assertEquals(List.of(), cache().prune(0).removed());

    Files.delete(properties);
    Files.write(properties, content);
    assertEquals(id(1), cache().find(id(1)).orElseThrow().id());
  }

  @Test
  void anImageWhoseRootAMicrovmHasLinkedIsInUse() throws Exception {
    Path root = obtain(1).root();
    cache().name(ImageName.parse("a"), id(1));
    Path link = Files.createLink(directory.resolve("container-root"), root);

    assertTrue(cache().list().getFirst().inUse());
    assertEquals(List.of(), cache().prune(Long.MAX_VALUE).removed());
    assertEquals(
        Reason.IMAGE_IN_USE,
        assertThrows(ImageException.class, () -> cache().remove(id(1))).reason());
    assertFalse(cache().remove(ImageName.parse("a")));
    assertTrue(cache().find(id(1)).isPresent());

    Files.delete(link);
    assertEquals(1, cache().prune(0).removed().size());
  }

  @Test
  void aCacheThatDoesNotExistIsEmpty() throws Exception {
    ContainerImageCache none = ContainerImageCache.of(directory.resolve("none"));

    assertEquals(List.of(), none.list());
    assertEquals(List.of(), none.prune(Long.MAX_VALUE).removed());
    assertThrows(ImageException.class, () -> none.use(id(1)));
    assertThrows(ImageException.class, () -> none.remove(id(1)));
  }

  private void use(int number) throws Exception {
    now = now.plusSeconds(1);
    cache().use(id(number)).close();
  }

  private ContainerImage obtain(int number) throws IOException, ImageException {
    return cache().obtain(id(number), maker());
  }

  private ContainerImageCache.Maker maker() {
    return building -> {
      made.incrementAndGet();
      Files.write(building.resolve(ContainerImage.ROOT_FILE), new byte[ROOT_BYTES]);
      return settings();
    };
  }

  private List<String> files() throws IOException {
    try (Stream<Path> files = Files.list(directory)) {
      return files.map(file -> String.valueOf(file.getFileName())).sorted().toList();
    }
  }

  private static ContainerImage.Settings settings() {
    return new ContainerImage.Settings(
        Architecture.X86_64,
        List.of("/bin/sh", "-c"),
        List.of("echo = # \\ \n\u00fc"),
        List.of("A=b"),
        "",
        "/",
        List.of(),
        "",
        Optional.of(Instant.EPOCH));
  }

  /** Each with a lock of its own, which is of its first digits. */
  private static ImageId id(int number) {
    return new ImageId("%08x%056x".formatted(number, 0));
  }
}

package dev.vireo.images;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.Callable;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A cached directory is built once per fingerprint, and is whole or not there. */
class CachedDirectoryTest {
  @TempDir Path parent;
  private final AtomicInteger builds = new AtomicInteger();

  @Test
  void itIsBuiltAgainOnlyWhenItsFingerprintChanges() throws Exception {
    obtain("one");
    obtain("one");
    assertEquals(1, builds.get());

    Path directory = obtain("two");

    assertEquals(2, builds.get());
    assertEquals("build 2", Files.readString(directory.resolve("content")));
  }

  @Test
  void aFailedBuildLeavesTheOldOne() throws Exception {
    Path directory = obtain("one");

    assertThrows(
        IOException.class,
        () ->
            CachedDirectory.obtain(
                parent,
                "image",
                "two",
                building -> {
                  Files.writeString(building.resolve("content"), "half");
                  throw new IOException("no space left");
                }));

    assertEquals("build 1", Files.readString(directory.resolve("content")));
    assertFalse(Files.exists(parent.resolve(".image.building")));
  }

  @Test
  void whatAKilledBuildLeftIsRemoved() throws Exception {
    Files.createDirectories(parent.resolve(".image.building"));
    Files.writeString(parent.resolve(".image.building/half"), "half");

    Path directory = obtain("one");

    assertFalse(Files.exists(directory.resolve("half")));
  }

  @Test
  void ofManyThatWantItOneBuilds() throws Exception {
    try (var threads = Executors.newFixedThreadPool(8)) {
      Callable<Path> task = () -> obtain("one");
      for (Future<Path> result :
          threads.invokeAll(IntStream.range(0, 8).mapToObj(i -> task).toList())) {
        assertEquals(parent.resolve("image"), result.get());
      }
    }

    assertEquals(1, builds.get());
  }

  @Test
  void aFingerprintTellsNeighboursApart() {
    assertNotEquals(
        new Fingerprint().add("ab").add("c").hex(), new Fingerprint().add("a").add("bc").hex());
  }

  @Test
  void aFingerprintSeesThatAFileWasWritten() throws Exception {
    Path file = Files.writeString(parent.resolve("file"), "one");
    String before = new Fingerprint().addFiles(parent).hex();
    Files.writeString(file, "three");

    assertNotEquals(before, new Fingerprint().addFiles(parent).hex());
  }

  private Path obtain(String fingerprint) throws IOException, ImageException {
    return CachedDirectory.obtain(
        parent,
        "image",
        fingerprint,
        building ->
            Files.writeString(building.resolve("content"), "build " + builds.incrementAndGet()));
  }
}

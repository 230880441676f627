package dev.vireo.worker.image;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.vireo.images.Architecture;
import dev.vireo.images.container.ContainerImageCache;
import dev.vireo.images.container.ImageId;
import dev.vireo.images.container.ImageName;
import dev.vireo.proto.v1.ContainerImage;
import dev.vireo.proto.worker.v1.ContainerImageSet;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What is told of a cache as images come, are used, and go. */
class CacheReportTest {
  @TempDir private Path directory;
  private Instant now = Instant.parse("2026-01-01T00:00:00Z");

  private ContainerImageCache cache() {
    return new ContainerImageCache(directory.resolve("cache"), () -> Long.MAX_VALUE, () -> now);
  }

  private static ImageId id(int number) {
    return new ImageId("%064x".formatted(number));
  }

  private void put(int number, String... names) throws Exception {
    var _ =
        cache()
            .obtain(
                id(number),
                building -> {
                  Files.write(
                      building.resolve(dev.vireo.images.container.ContainerImage.ROOT_FILE),
                      new byte[number]);
                  return new dev.vireo.images.container.ContainerImage.Settings(
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
    for (String name : names) {
      cache().name(ImageName.parse(name), id(number));
    }
    use(number);
  }

  private void use(int number) throws Exception {
    now = now.plusSeconds(1);
    cache().use(id(number)).close();
  }

  private static ContainerImage told(int number, String... names) {
    return ContainerImage.newBuilder()
        .setId(id(number).toString())
        .addAllNames(List.of(names))
        .setRootBytes(number)
        .build();
  }

  @Test
  void anImageIsToldOfFromWhenItComesUntilItGoes() throws Exception {
    CacheReport report = new CacheReport(cache());
    assertEquals(List.of(), report.images(), "there is no cache yet");
    put(2, "tool:1", "example.org/tool");
    put(1, "busybox");
    List<ContainerImage> both =
        List.of(told(1, "busybox"), told(2, "docker.io/library/tool:1", "example.org/tool:latest"));
    assertEquals(both, report.images());
    use(2);
    assertEquals(both, report.images(), "a use is no news");
    cache().remove(ImageName.parse("example.org/tool"));
    assertEquals(List.of(told(1, "busybox"), told(2, "docker.io/library/tool:1")), report.images());
    cache().remove(id(1));
    assertEquals(List.of(told(2, "docker.io/library/tool:1")), report.images());
  }

  @Test
  void ofManyThoseAreToldOfThatWereUsedLast() throws Exception {
    for (int i = 1; i <= CacheReport.MOST_IMAGES + 1; i++) {
      put(i);
    }
    use(1);
    List<ContainerImage> images = new CacheReport(cache()).images();
    assertEquals(CacheReport.MOST_IMAGES, images.size());
    assertEquals(told(1), images.getFirst());
    assertEquals(told(3), images.get(1), "2 was not used for the longest");
  }

  @Test
  void noNamesMakeTheMessageLarge() throws Exception {
    String path = "example.org/" + "x".repeat(200);
    for (int i = 1; i <= 20; i++) {
      put(i, path + "/a" + i, path + "/b" + i, path + "/c" + i, path + "/d" + i, path + "/e" + i);
    }
    put(21, "busybox");
    List<ContainerImage> images = new CacheReport(cache()).images();
    assertEquals(told(21, "busybox"), images.getLast());
    assertTrue(images.size() > 20, "there is room for these");
    for (int i = 22; i <= 60; i++) {
      put(i, path + "/a" + i, path + "/b" + i, path + "/c" + i, path + "/d" + i, path + "/e" + i);
    }
    images = new CacheReport(cache()).images();
    assertTrue(images.size() < 40, () -> "and not for all");
    int size = ContainerImageSet.newBuilder().addAllImages(images).build().getSerializedSize();
    assertTrue(size < CacheReport.MOST_BYTES + 4 * CacheReport.MOST_IMAGES, () -> size + " bytes");
  }

  @Test
  void whatCannotBeReadIsToldAsItWas() throws Exception {
    CacheReport report = new CacheReport(cache());
    put(1, "busybox");
    assertEquals(List.of(told(1, "busybox")), report.images());
    Files.writeString(directory.resolve("cache/names/broken"), "no name");
    assertEquals(List.of(told(1, "busybox")), report.images());
  }
}

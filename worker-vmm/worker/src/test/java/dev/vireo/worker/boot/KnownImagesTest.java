package dev.vireo.worker.boot;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.vireo.images.GuestImage;
import dev.vireo.images.ImageDirectory;
import dev.vireo.images.ImageException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.List;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** An image is read once, and again once it was replaced. */
class KnownImagesTest {
  @TempDir private Path store;
  private KnownImages images;

  @BeforeEach
  void open() {
    images = new KnownImages(new ImageDirectory(store));
  }

  @Test
  void whatHasNotChangedIsNotReadAgain() throws Exception {
    write("probe", 64);

    assertSame(found(), found());
  }

  @Test
  void whatWasReplacedIsReadAgain() throws Exception {
    write("probe", 64);
    assertEquals(64, found().minMemoryMib());

    write("probe", 96);

    assertEquals(96, found().minMemoryMib());
  }

  @Test
  void whatWasRemovedOrBrokenIsNotKnownAnyMore() throws Exception {
    write("probe", 64);
    assertEquals("probe", found().name());

    Files.writeString(store.resolve("probe/new"), "name=other\n");
    replace();
    assertThrows(ImageException.class, () -> images.find("probe"));

    Files.delete(store.resolve("probe/image.properties"));
    Files.delete(store.resolve("probe/kernel"));
    Files.delete(store.resolve("probe"));
    assertTrue(images.find("probe").isEmpty());
  }

  @Test
  void aPathIsNoName() throws Exception {
    write("probe", 64);

    assertTrue(images.find("../" + store.getFileName() + "/probe").isEmpty());
    assertFalse(images.find("probe").isEmpty());
    assertEquals(List.of("probe"), images.names());
  }

  private GuestImage found() throws ImageException {
    return images.find("probe").orElseThrow();
  }

  private void write(String name, int minMemoryMib) throws IOException {
    Path directory = Files.createDirectories(store.resolve(name));
    Files.write(directory.resolve("kernel"), new byte[1]);
    Files.writeString(
        directory.resolve("new"),
        """
        name=%s
        architecture=x86_64
        kernel=kernel
        guest_kind=bare-metal
        announcements=cmdline
        min_memory_mib=%d
        command_line=
        """
            .formatted(name, minMemoryMib));
    replace();
  }

  /** By rename, as an image builder does. */
  private void replace() throws IOException {
    Files.move(
        store.resolve("probe/new"),
        store.resolve("probe/image.properties"),
        StandardCopyOption.REPLACE_EXISTING);
  }
}

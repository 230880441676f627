package dev.vireo.images;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** An image store is read whole, and a broken image is told apart from a missing one. */
class ImageDirectoryTest {
  @TempDir Path store;

  @Test
  void whatWasWrittenIsRead() throws Exception {
    GuestImage written = image("debian-12");

    assertEquals(Optional.of(written), new ImageDirectory(store).find("debian-12"));
  }

  @Test
  void aStoreThatDoesNotExistIsEmpty() throws Exception {
    var listing = new ImageDirectory(store.resolve("none")).list();

    assertEquals(List.of(), listing.images());
    assertEquals(List.of(), listing.broken());
  }

  @Test
  void oneBrokenImageDoesNotHideTheOthers() throws Exception {
    GuestImage whole = image("whole");
    GuestImage broken = image("broken");
    Files.delete(broken.kernel());
    Files.createDirectory(store.resolve(".half-built"));

    var listing = new ImageDirectory(store).list();

    assertEquals(List.of(whole), listing.images());
    assertEquals(1, listing.broken().size());
    assertTrue(
        String.valueOf(listing.broken().getFirst().getMessage())
            .endsWith("kernel names a file that does not exist: " + broken.kernel()));
  }

  @ParameterizedTest
  @ValueSource(strings = {"../debian-12", "/debian-12", "", ".", "..", "a..b", "UPPER", "-a"})
  void aPathIsNotAName(String name) throws Exception {
    assertFalse(GuestImage.isName(name));
    assertEquals(Optional.empty(), new ImageDirectory(store).find(name));
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "name | other | name must be that of the directory",
        "architecture | mips | architecture must be one of [x86_64, arm64], not \"mips\"",
        "guest_kind | '' | guest_kind is missing",
        "announcements | acpi,usb | announcements must be one of [cmdline, acpi, fdt], not \"usb\"",
        "min_memory_mib | 0 | min_memory_mib must be a positive whole number, not \"0\"",
        "min_memory_mib | lots | min_memory_mib must be a positive whole number, not \"lots\"",
        "kernel | ../vmlinuz | kernel must be a file name without a path, not \"../vmlinuz\"",
        "initramfs | gone | initramfs names a file that does not exist",
        "agent_initramfs | gone | agent_initramfs names a file that does not exist",
      })
  void aWrongPropertyIsNamed(String key, String value, String complaint) throws Exception {
    GuestImage image = image("debian-12");
    Path properties = image.directory().resolve(GuestImage.PROPERTIES_FILE);
    // The last of two equal keys counts.
    Files.writeString(properties, Files.readString(properties) + key + "=" + value + "\n");

    var refusal =
        assertThrows(ImageException.class, () -> new ImageDirectory(store).find("debian-12"));

    assertEquals(ImageException.Reason.IMAGE_INVALID, refusal.reason());
    assertTrue(String.valueOf(refusal.getMessage()).contains(complaint), refusal::getMessage);
  }

  @Test
  void theEnvironmentNamesTheCache() {
    Path home = Path.of("/home/user");

    assertEquals(Path.of("/home/user/.cache/vireo"), VireoCache.of(Map.of(), home));
    assertEquals(
        Path.of("/elsewhere"), VireoCache.of(Map.of("VIREO_CACHE_DIR", "/elsewhere"), home));
  }

  private GuestImage image(String name) throws IOException {
    Path directory = Files.createDirectory(store.resolve(name));
    GuestImage image =
        new GuestImage(
            name,
            directory,
            Architecture.X86_64,
            GuestKind.LINUX,
            List.of(DeviceAnnouncement.ACPI),
            64,
            Files.createFile(directory.resolve("vmlinuz")),
            Optional.of(Files.createFile(directory.resolve("initramfs"))),
            Optional.empty(),
            Optional.of(Files.createFile(directory.resolve("agent-initramfs"))),
            Optional.empty(),
            "console=ttyS0 quiet");
    image.writeProperties("Built by a test");
    return image;
  }
}

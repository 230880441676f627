package dev.vireo.images;

import static dev.vireo.images.ImageException.Reason.INPUT_MISSING;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;

/** The bare-metal probe of {@code ops/guest/probe}, which runs on every KVM. */
final class ProbeRecipe implements ImageRecipe {
  private static final int MIN_MEMORY_MIB = 16;

  private final Path elf;

  /**
   * @param elf the probe as its Makefile leaves it
   */
  ProbeRecipe(Path elf) {
    this.elf = elf;
  }

  @Override
  public String name() {
    return "probe";
  }

  @Override
  public String description() {
    return "the bare-metal probe guest, for any KVM";
  }

  @Override
  public String fingerprint() throws IOException, ImageException {
    return new Fingerprint().add(probe()).add(Integer.toString(MIN_MEMORY_MIB)).hex();
  }

  @Override
  public void buildInto(Path directory) throws IOException, ImageException {
    GuestImage image =
        new GuestImage(
            name(),
            directory,
            Architecture.X86_64,
            GuestKind.BARE_METAL,
            List.of(DeviceAnnouncement.CMDLINE),
            MIN_MEMORY_MIB,
            directory.resolve("probe.elf"),
            Optional.empty(),
            Optional.empty(),
            Optional.empty(),
            Optional.empty(),
            "");
    Files.write(image.kernel(), probe());
    image.writeProperties("Built from ops/guest/probe");
  }

  private byte[] probe() throws IOException, ImageException {
    if (!Files.isRegularFile(elf)) {
      throw new ImageException(
          INPUT_MISSING, elf + " does not exist; make it: make -C ops/guest/probe");
    }
    return Files.readAllBytes(elf);
  }
}

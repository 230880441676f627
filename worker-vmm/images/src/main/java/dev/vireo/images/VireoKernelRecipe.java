package dev.vireo.images;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;

/**
 * {@link GuestKernel} with the same root disk as {@link Debian12Recipe}'s. All that it needs is
 * built in, so it mounts its first disk itself: there is no initramfs but the agent's.
 */
final class VireoKernelRecipe implements ImageRecipe {
  private static final String RELEASE = "bookworm";
  private static final String COMMAND_LINE = "console=ttyS0 quiet panic=-1 root=/dev/vda rw";
  private static final String X86_COMMAND_LINE =
      COMMAND_LINE + " pci=off tsc=reliable no_timer_check";
  private static final int MIN_MEMORY_MIB = 64;

  private final GuestRoot root;
  private final GuestKernel kernel;
  private final Path cache;
  private final Commands commands;
  private final Progress progress;

  /**
   * @param cache Vireo's cache directory, where packages are kept
   */
  VireoKernelRecipe(
      GuestRoot root, GuestKernel kernel, Path cache, Commands commands, Progress progress) {
    this.root = root;
    this.kernel = kernel;
    this.cache = cache;
    this.commands = commands;
    this.progress = progress;
  }

  @Override
  public String name() {
    return GuestKernel.NAME;
  }

  @Override
  public String description() {
    return "Vireo's own small kernel, compiled from Debian's source; busybox on an ext4 root disk";
  }

  @Override
  public void prepare() throws IOException, ImageException {
    var _ = kernel.build();
  }

  @Override
  public boolean isPrepared() throws IOException, ImageException {
    return kernel.find().filter(GuestKernel.Built::isCurrent).isPresent();
  }

  @Override
  public String fingerprint() throws IOException, ImageException {
    return root.addTo(new Fingerprint().addFiles(built().file()))
        .add(WritableLayer.recipe())
        .add(commandLine())
        .add(Integer.toString(MIN_MEMORY_MIB))
        .hex();
  }

  @Override
  public void buildInto(Path directory) throws IOException, ImageException {
    GuestKernel.Built built = built();
    Path work = Files.createDirectory(directory.resolve("work"));
    DebianPackages packages =
        DebianPackages.of(cache, RELEASE, kernel.architecture(), commands, progress);
    DebianPackage busybox = packages.fetch("busybox-static");
    GuestImage image = image(directory, built.file());
    FileTrees.copyFile(built.file(), image.kernel());
    progress.step("making the root disk");
    root.make(
        GuestRoot.busybox(busybox, Files.createDirectory(work.resolve("busybox")), commands),
        "Vireo's kernel",
        packages,
        Files.createDirectory(work.resolve("root")),
        image,
        commands);
    GuestAgent.initramfs(root.agent().program(kernel.architecture(), commands))
        .writeTo(image.agentInitramfs().orElseThrow());
    WritableLayer.make(image.writableDisk().orElseThrow(), commands);
    image.writeProperties("Built from %s and %s".formatted(built.source(), busybox));
    FileTrees.delete(work);
  }

  private GuestKernel.Built built() throws IOException, ImageException {
    return kernel
        .find()
        .orElseThrow(() ->
            new ImageException(
                ImageException.Reason.INPUT_MISSING,
                "the kernel has not been built; build it: ./vireo kernel build"));
  }

  private GuestImage image(Path directory, Path kernelFile) {
    return new GuestImage(
        name(),
        directory,
        kernel.architecture(),
        GuestKind.LINUX,
        announcements(),
        MIN_MEMORY_MIB,
        directory.resolve(String.valueOf(kernelFile.getFileName())),
        Optional.empty(),
        Optional.of(directory.resolve("root.ext4")),
        Optional.of(directory.resolve("agent-initramfs")),
        Optional.of(directory.resolve("writable.ext4")),
        commandLine());
  }

  private List<DeviceAnnouncement> announcements() {
    return switch (kernel.architecture()) {
      case X86_64 -> List.of(DeviceAnnouncement.CMDLINE, DeviceAnnouncement.ACPI);
      case ARM64 -> List.of(DeviceAnnouncement.FDT);
    };
  }

  private String commandLine() {
    return switch (kernel.architecture()) {
      case X86_64 -> X86_COMMAND_LINE;
      case ARM64 -> COMMAND_LINE;
    };
  }
}

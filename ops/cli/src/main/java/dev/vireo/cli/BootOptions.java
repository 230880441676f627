package dev.vireo.cli;

import dev.vireo.proto.v1.Announcement;
import dev.vireo.proto.v1.Boot;
import picocli.CommandLine.Option;

/** What a kernel is booted with. */
final class BootOptions {
  /** How the guest learns of its devices. */
  enum AnnouncementChoice {
    AUTO,
    CMDLINE,
    ACPI,
    FDT;

    @Override
    public String toString() {
      return Text.lower(this);
    }
  }

  @Option(
      names = "--initramfs",
      paramLabel = "PATH",
      description = "An absolute path on the node. Default: the image's own.")
  private String initramfs = "";

  @Option(names = "--no-initramfs", description = "Not even the image's own.")
  private boolean noInitramfs;

  @Option(
      names = "--cmdline",
      paramLabel = "ARGUMENTS",
      description = "Appended to the kernel's command line.")
  private String commandLine = "";

  @Option(
      names = "--announcement",
      paramLabel = "HOW",
      defaultValue = "auto",
      description = "${COMPLETION-CANDIDATES}. Default: ${DEFAULT-VALUE}.")
  private AnnouncementChoice announcement = AnnouncementChoice.AUTO;

  /** How this kernel, by name or path, is booted. */
  Boot boot(String kernel) {
    return Boot.newBuilder()
        .setKernel(kernel)
        .setInitramfs(initramfs)
        .setNoInitramfs(noInitramfs)
        .setCommandLine(commandLine)
        .setAnnouncement(
            switch (announcement) {
              case AUTO -> Announcement.AUTO;
              case CMDLINE -> Announcement.CMDLINE;
              case ACPI -> Announcement.ACPI;
              case FDT -> Announcement.FDT;
            })
        .build();
  }
}

package dev.vireo.scheduler;

import java.util.Set;

/**
 * A kernel image in a node's store.
 *
 * @param architecture what it is built for, for example "x86_64"
 * @param linux whether it is a Linux kernel; if not, a bare-metal guest that runs on every KVM
 * @param announcements how it can be told of its devices, for example "acpi"
 */
public record Image(String name, String architecture, boolean linux, Set<String> announcements) {
  public Image {
    announcements = Set.copyOf(announcements);
  }
}

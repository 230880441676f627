package dev.vireo.bench;

import java.nio.file.Path;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * What the probe guest is to run, and the devices it has: the same for every machine.
 *
 * @param arguments as ops/guest/probe/README.md lists them
 * @param disk a raw file, or none
 * @param tap the name of a tap interface that is there, or none
 * @param more other devices that it has
 */
record GuestSetup(String arguments, @Nullable Path disk, @Nullable String tap, Set<Device> more) {

  /** What a guest has at most one of. */
  enum Device {
    VSOCK,
    ENTROPY,
    /** One port, a console, on a unix socket. */
    CONSOLE,
    BALLOON
  }

  GuestSetup {
    more = Set.copyOf(more);
  }

  /** Without a device. */
  static GuestSetup of(String arguments) {
    return new GuestSetup(arguments, null, null, Set.of());
  }

  GuestSetup withDisk(Path file) {
    return new GuestSetup(arguments, file, tap, more);
  }

  GuestSetup withTap(String name) {
    return new GuestSetup(arguments, disk, name, more);
  }

  /** As this, with these devices in place of others of their kind. */
  GuestSetup with(Set<Device> devices) {
    return new GuestSetup(arguments, disk, tap, devices);
  }

  /** As this, with more arguments. */
  GuestSetup with(String moreArguments) {
    return new GuestSetup(arguments + " " + moreArguments, disk, tap, more);
  }

  boolean has(Device device) {
    return more.contains(device);
  }
}

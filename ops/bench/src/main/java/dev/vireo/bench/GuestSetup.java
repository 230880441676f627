package dev.vireo.bench;

import java.nio.file.Path;
import org.jspecify.annotations.Nullable;

/**
 * What the probe guest is to run, and the devices it has: the same for every machine.
 *
 * @param arguments as ops/guest/probe/README.md lists them
 * @param disk a raw file, or none
 * @param tap the name of a tap interface that is there, or none
 * @param vsock whether there is a vsock device
 * @param entropy whether there is an entropy device
 */
record GuestSetup(
    String arguments, @Nullable Path disk, @Nullable String tap, boolean vsock, boolean entropy) {

  /** Without a device. */
  static GuestSetup of(String arguments) {
    return new GuestSetup(arguments, null, null, false, false);
  }

  GuestSetup withDisk(Path file) {
    return new GuestSetup(arguments, file, tap, vsock, entropy);
  }

  GuestSetup withTap(String name) {
    return new GuestSetup(arguments, disk, name, vsock, entropy);
  }

  GuestSetup withVsock() {
    return new GuestSetup(arguments, disk, tap, true, entropy);
  }

  GuestSetup withEntropy() {
    return new GuestSetup(arguments, disk, tap, vsock, true);
  }

  /** As this, with more arguments. */
  GuestSetup with(String more) {
    return new GuestSetup(arguments + " " + more, disk, tap, vsock, entropy);
  }
}

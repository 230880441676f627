package dev.vireo.cli;

import java.nio.file.attribute.PosixFilePermission;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.Set;

/** Permissions as Java has them, and as the kernel does. */
final class Modes {
  private static final String ALL = "rwxrwxrwx";

  private Modes() {}

  static int of(Set<PosixFilePermission> permissions) {
    int mode = 0;
    for (char permission : PosixFilePermissions.toString(permissions).toCharArray()) {
      mode = mode << 1 | (permission == '-' ? 0 : 1);
    }
    return mode;
  }

  /** Without what a mode has besides: set-uid, set-gid and sticky bits. */
  static Set<PosixFilePermission> permissions(int mode) {
    StringBuilder text = new StringBuilder(ALL);
    for (int i = 0; i < ALL.length(); i++) {
      if ((mode & 0400 >> i) == 0) {
        text.setCharAt(i, '-');
      }
    }
    return PosixFilePermissions.fromString(text.toString());
  }
}

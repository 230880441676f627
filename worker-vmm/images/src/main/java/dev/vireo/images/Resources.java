package dev.vireo.images;

import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.InputStream;

/** Files that lie beside a class in its jar. */
public final class Resources {
  private Resources() {}

  /** Reads one whole. */
  public static byte[] read(Class<?> beside, String name) throws IOException {
    try (InputStream stream = beside.getResourceAsStream(name)) {
      if (stream == null) {
        throw new FileNotFoundException(beside.getName() + " has no resource " + name);
      }
      return stream.readAllBytes();
    }
  }
}

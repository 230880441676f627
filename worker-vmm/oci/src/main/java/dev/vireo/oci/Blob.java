package dev.vireo.oci;

import java.io.IOException;
import java.io.InputStream;

/** Bytes that can be read as often as need be: a file, or a part of one. */
@FunctionalInterface
interface Blob {
  /** From the first byte; to be closed. */
  InputStream open() throws IOException;
}

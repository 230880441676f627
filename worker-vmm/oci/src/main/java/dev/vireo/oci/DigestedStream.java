package dev.vireo.oci;

import java.io.FilterInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.security.MessageDigest;
import java.util.function.LongConsumer;

/** Digests and counts what is read from a stream. */
final class DigestedStream extends FilterInputStream {
  private final MessageDigest digest = Digests.sha256();
  private final long most;
  private final LongConsumer advance;
  private long count;

  /**
   * @param most bytes that may come; one more is an error
   * @param advance is told of bytes that were read
   */
  DigestedStream(InputStream in, long most, LongConsumer advance) {
    super(in);
    this.most = most;
    this.advance = advance;
  }

  @Override
  public int read() throws IOException {
    byte[] one = new byte[1];
    return read(one, 0, 1) < 0 ? -1 : one[0] & 0xff;
  }

  @Override
  public int read(byte[] buffer, int offset, int length) throws IOException {
    int read = in.read(buffer, offset, length);
    if (read > 0) {
      digest.update(buffer, offset, read);
      count += read;
      advance.accept(read);
      if (count > most) {
        throw new IOException("more than %d bytes come".formatted(most));
      }
    }
    return read;
  }

  @Override
  public long skip(long bytes) throws IOException {
    byte[] buffer = new byte[Math.clamp(bytes, 0, 1 << 13)];
    return Math.max(0, read(buffer, 0, buffer.length));
  }

  @Override
  public boolean markSupported() {
    return false;
  }

  /** Reads what is left, if it is not more than may come. */
  void drain() throws IOException {
    byte[] buffer = new byte[1 << 16];
    while (count <= most) {
      if (read(buffer, 0, buffer.length) < 0) {
        return;
      }
    }
  }

  /** How many bytes have come. */
  long count() {
    return count;
  }

  /** Of all that was read. Call once. */
  String digest() {
    return Descriptor.digest(digest.digest());
  }
}

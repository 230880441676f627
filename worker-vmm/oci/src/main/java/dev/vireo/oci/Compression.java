package dev.vireo.oci;

import io.airlift.compress.v3.zstd.ZstdJavaInputStream;
import java.io.BufferedInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.util.Arrays;
import java.util.zip.GZIPInputStream;

/**
 * How layers are compressed. Their first bytes tell, where media types are missing ({@code docker
 * save}) or wrong.
 */
final class Compression {
  private static final byte[] GZIP = {0x1f, (byte) 0x8b};
  private static final int MAGIC_BYTES = 4;
  private static final int BUFFER = 1 << 16;

  private Compression() {}

  /** What was compressed, or the stream itself. */
  static InputStream undo(InputStream in) throws IOException {
    BufferedInputStream buffered = new BufferedInputStream(in, BUFFER);
    buffered.mark(MAGIC_BYTES);
    byte[] first = buffered.readNBytes(MAGIC_BYTES);
    buffered.reset();
    try {
      if (startsWith(first, GZIP)) {
        return new GZIPInputStream(buffered, BUFFER);
      }
      return ZstdFrames.isZstd(first) ? new Zstd(new ZstdFrames(buffered)) : buffered;
    } catch (IOException e) {
      buffered.close();
      throw e;
    }
  }

  static boolean startsWith(byte[] bytes, byte[] magic) {
    return bytes.length >= magic.length
        && Arrays.equals(bytes, 0, magic.length, magic, 0, magic.length);
  }

  /** Tells what is wrong with a stream by an IOException, as others do. */
  private static final class Zstd extends InputStream {
    private final ZstdJavaInputStream in;

    Zstd(InputStream in) {
      this.in = new ZstdJavaInputStream(in);
    }

    @Override
    public int read() throws IOException {
      byte[] one = new byte[1];
      return read(one, 0, 1) < 0 ? -1 : one[0] & 0xff;
    }

    @Override
    public int read(byte[] buffer, int offset, int length) throws IOException {
      try {
        return in.read(buffer, offset, length);
      } catch (RuntimeException e) {
        throw new IOException("not zstd: " + e.getMessage(), e);
      }
    }

    @Override
    public void close() throws IOException {
      in.close();
    }
  }
}

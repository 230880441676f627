package dev.vireo.oci;

import static dev.vireo.images.ImageException.Reason.DIGEST_MISMATCH;
import static dev.vireo.images.ImageException.Reason.LAYER_INVALID;

import dev.vireo.images.ImageException;
import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.util.Optional;
import java.util.function.LongConsumer;

/**
 * One reading of a layer from its first byte to its last, by which both its digests are verified:
 * that of the blob and that of the tar in it. So it is each time that a layer is read: a file may
 * have changed meanwhile.
 */
final class LayerScan {
  /** More than any image's layer has: what is larger was made to fill a disk or a day. */
  static final long MOST_BYTES = 64L << 30;

  /** Is shown the entries of a layer, in order. */
  @FunctionalInterface
  interface Visitor {
    /**
     * An entry.
     *
     * @param position from 0
     * @param content of a file; need not be read
     */
    void visit(int position, LayerEntry entry, InputStream content)
        throws IOException, ImageException;
  }

  /** The visitor's own output failed. */
  static final class OutputException extends IOException {
    private static final long serialVersionUID = 1L;

    OutputException(IOException cause) {
      super(cause.getMessage(), cause);
    }
  }

  private final Layer layer;
  private final String what;
  private final LongConsumer advance;

  /**
   * @param number of the layer, from 1, for people
   * @param advance is told of bytes of the blob that were read
   */
  LayerScan(Layer layer, int number, LongConsumer advance) {
    this.layer = layer;
    this.what = "layer " + number;
    this.advance = advance;
  }

  /**
   * Reads the layer.
   *
   * @return how many bytes its tar has
   * @throws ImageException DIGEST_MISMATCH, LAYER_INVALID, or what the visitor throws
   * @throws OutputException of the visitor's
   */
  long read(Visitor visitor) throws IOException, ImageException {
    try (DigestedStream blob =
        new DigestedStream(
            layer.blob().open(),
            layer.descriptor().map(Descriptor::size).orElse(MOST_BYTES),
            advance)) {
      return read(blob, visitor);
    }
  }

  private long read(DigestedStream blob, Visitor visitor) throws IOException, ImageException {
    try {
      DigestedStream tar = new DigestedStream(Compression.undo(blob), MOST_BYTES, bytes -> {});
      visitAll(tar, visitor);
      tar.drain();
      blob.drain();
      verifyBlob(blob);
      verifyTar(tar);
      return tar.count();
    } catch (OutputException e) {
      throw e;
    } catch (IOException e) {
      // Of a blob that was damaged, its digest tells more than where its reading failed.
      drainAfter(e, blob);
      verifyBlob(blob);
      throw new ImageException(
          LAYER_INVALID,
          "%s cannot be read: %s"
              .formatted(what, e instanceof EOFException ? "it ends too early" : e.getMessage()),
          e);
    }
  }

  private void visitAll(DigestedStream tar, Visitor visitor) throws IOException, ImageException {
    // Not closed: what follows the tar's end is read by the caller.
    LayerReader reader = new LayerReader(tar);
    int position = 0;
    Optional<LayerEntry> entry = next(reader);
    while (entry.isPresent()) {
      visitor.visit(position, entry.get(), reader.content());
      position++;
      entry = next(reader);
    }
  }

  private Optional<LayerEntry> next(LayerReader reader) throws IOException, ImageException {
    try {
      return reader.next();
    } catch (ImageException e) {
      throw new ImageException(e.reason(), what + ": " + e.getMessage(), e);
    }
  }

  private static void drainAfter(IOException problem, DigestedStream blob) {
    try {
      blob.drain();
    } catch (IOException e) {
      problem.addSuppressed(e);
    }
  }

  private void verifyBlob(DigestedStream blob) throws ImageException {
    if (layer.descriptor().isEmpty()) {
      return;
    }
    Descriptor descriptor = layer.descriptor().get();
    if (blob.count() > descriptor.size()) {
      throw descriptor.mismatch(what, "is longer than its %d bytes".formatted(descriptor.size()));
    }
    if (blob.count() < descriptor.size()) {
      throw descriptor.mismatch(
          what, "has %d of its %d bytes".formatted(blob.count(), descriptor.size()));
    }
    descriptor.requireEqual(blob.digest(), what);
  }

  private void verifyTar(DigestedStream tar) throws ImageException {
    String digest = tar.digest();
    if (!digest.equals(layer.diffId())) {
      throw new ImageException(
          DIGEST_MISMATCH,
          "%s's tar should be %s, as the image's configuration says, but has the digest %s"
              .formatted(what, layer.diffId(), digest));
    }
  }
}

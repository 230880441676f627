package dev.vireo.images;

/** An image cannot be read or built; the message says what to do about it. */
public final class ImageException extends Exception {
  private static final long serialVersionUID = 1L;

  /** Why, for callers that decide by it. */
  public enum Reason {
    /** There is no image of this name in the store, or none of this name can be built. */
    IMAGE_UNKNOWN,
    /** The image directory's properties are incomplete or wrong, or a file it names is missing. */
    IMAGE_INVALID,
    /** This host lacks a program that building needs, or is the wrong distribution. */
    HOST_UNSUPPORTED,
    /** No mirror of the distribution can be reached. */
    NETWORK_UNAVAILABLE,
    /** The distribution has no such package. */
    PACKAGE_NOT_FOUND,
    /** A package does not contain what it should. */
    PACKAGE_INVALID,
    /** A program that building runs has failed. */
    TOOL_FAILED,
    /** What the image is made of has not been built yet. */
    INPUT_MISSING
  }

  private final Reason reason;

  public ImageException(Reason reason, String message) {
    super(message);
    this.reason = reason;
  }

  public ImageException(Reason reason, String message, Throwable cause) {
    super(message, cause);
    this.reason = reason;
  }

  /** Why. */
  public Reason reason() {
    return reason;
  }
}

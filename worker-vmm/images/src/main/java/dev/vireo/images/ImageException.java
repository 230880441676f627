package dev.vireo.images;

import java.io.IOException;

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
    INPUT_MISSING,
    /** A name of a container image is not written as one. */
    NAME_INVALID,
    /** A manifest, index, configuration or archive is not what its format says. */
    MANIFEST_INVALID,
    /** A blob is not what its digest or its size says. */
    DIGEST_MISMATCH,
    /** A layer cannot be read, or holds what no root file system may. */
    LAYER_INVALID,
    /** There is such an image, but not for this architecture. */
    ARCHITECTURE_MISSING,
    /** A registry cannot be reached, does not answer in time, or is not able to serve. */
    REGISTRY_UNAVAILABLE,
    /** A registry wants other credentials. */
    REGISTRY_DENIED,
    /** The image is in use by a microVM, or is just being made. */
    IMAGE_IN_USE,
    /** A disk of this host is full. */
    DISK_FULL
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

  /** Whether it says nothing of the image, but that it cannot be read just now. */
  public boolean mayPass() {
    return getCause() instanceof IOException;
  }
}

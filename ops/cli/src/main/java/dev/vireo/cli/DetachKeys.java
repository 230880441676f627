package dev.vireo.cli;

import com.google.protobuf.ByteString;

/** Ctrl-P Ctrl-Q, as docker has it, in what is typed: it is for us and not for the guest. */
final class DetachKeys {
  private static final byte CTRL_P = 0x10;
  private static final byte CTRL_Q = 0x11;

  private final boolean watched;

  /** The first was typed, and is held back until it is known what for. */
  private boolean held;

  private boolean typed;

  DetachKeys() {
    this(true);
  }

  private DetachKeys(boolean watched) {
    this.watched = watched;
  }

  /** For what is not typed: everything is for the guest. */
  static DetachKeys none() {
    return new DetachKeys(false);
  }

  /** What of this is for the guest. */
  ByteString pass(ByteString bytes) {
    if (!watched) {
      return bytes;
    }
    ByteString.Output out = ByteString.newOutput();
    for (int i = 0; i < bytes.size() && !typed; i++) {
      byte key = bytes.byteAt(i);
      typed = held && key == CTRL_Q;
      if (held && !typed) {
        out.write(CTRL_P);
      }
      held = key == CTRL_P;
      if (!held && !typed) {
        out.write(key);
      }
    }
    return out.toByteString();
  }

  boolean areTyped() {
    return typed;
  }
}

package dev.vireo.controller.session;

import java.util.Locale;

/** Which of the calls to a guest's agent a tunnel carries. */
public enum TunnelKind {
  EXEC,
  COPY_IN,
  COPY_OUT,
  PORT_FORWARD,
  INVOKE,
  ATTACH;

  /** As a metric's label has it. */
  String label() {
    return name().toLowerCase(Locale.ROOT);
  }
}

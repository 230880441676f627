package dev.vireo.controller.session;

import java.util.Locale;

/** Which of the calls to a guest's agent, or to a node itself, a tunnel carries. */
public enum TunnelKind {
  EXEC,
  COPY_IN,
  COPY_OUT,
  PORT_FORWARD,
  INVOKE,
  ATTACH,
  LOAD_IMAGE,
  LIST_IMAGES,
  DELETE_IMAGE;

  /** As a metric's label has it. */
  String label() {
    return name().toLowerCase(Locale.ROOT);
  }
}

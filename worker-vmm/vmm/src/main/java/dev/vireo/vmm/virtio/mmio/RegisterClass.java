package dev.vireo.vmm.virtio.mmio;

import java.util.Locale;

/**
 * Groups of registers, by what an access to them costs: those of the I/O path apart from the rest.
 */
public enum RegisterClass {
  INTERRUPT_STATUS,
  INTERRUPT_ACK,
  /** With an ioeventfd in place it never exits, so this stays 0. */
  QUEUE_NOTIFY,
  CONFIG,
  OTHER;

  private final String label = name().toLowerCase(Locale.ROOT);

  /** That of the register at {@code offset} from the device's base. */
  public static RegisterClass of(int offset) {
    if (offset >= Register.CONFIG) {
      return CONFIG;
    }
    return switch (offset) {
      case Register.INTERRUPT_STATUS -> INTERRUPT_STATUS;
      case Register.INTERRUPT_ACK -> INTERRUPT_ACK;
      case Register.QUEUE_NOTIFY -> QUEUE_NOTIFY;
      default -> OTHER;
    };
  }

  /** The name in counters: {@code "interrupt_ack"}. */
  public String label() {
    return label;
  }
}

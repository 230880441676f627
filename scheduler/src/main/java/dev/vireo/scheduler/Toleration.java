package dev.vireo.scheduler;

import java.util.Optional;

/**
 * Which taints do not matter to a microVM.
 *
 * @param key empty: any
 * @param value empty: any
 * @param effect empty: any
 */
public record Toleration(
    Optional<String> key, Optional<String> value, Optional<Taint.Effect> effect) {
  /** Whether the taint does not matter. */
  public boolean tolerates(Taint taint) {
    return key.filter(k -> !k.equals(taint.key())).isEmpty()
        && value.filter(v -> !v.equals(taint.value())).isEmpty()
        && effect.filter(e -> e != taint.effect()).isEmpty();
  }
}

package dev.vireo.worker.doctor;

/**
 * One thing that was looked at.
 *
 * @param name stable, for scripts
 * @param finding what was found, for people
 * @param remedy what to do about it; empty if nothing needs to be done
 */
public record Check(String name, Verdict verdict, String finding, String remedy) {
  /** How good that is. */
  public enum Verdict {
    /** As it should be. */
    GOOD,
    /** Vireo runs without it, and can do less. */
    LIMITED,
    /** Vireo cannot run guests here. */
    BAD
  }

  static Check good(String name, String finding) {
    return new Check(name, Verdict.GOOD, finding, "");
  }

  static Check limited(String name, String finding, String remedy) {
    return new Check(name, Verdict.LIMITED, finding, remedy);
  }

  static Check bad(String name, String finding, String remedy) {
    return new Check(name, Verdict.BAD, finding, remedy);
  }
}

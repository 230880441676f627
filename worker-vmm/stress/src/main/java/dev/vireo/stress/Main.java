package dev.vireo.stress;

import java.util.ArrayList;
import java.util.List;

/** Runs this module's tests; takes JCStress's options, {@code -m quick} and {@code -t REGEX}. */
public final class Main {
  /** Of the JVMs that JCStress starts: eventfds and mappings are native. */
  private static final String JVM_ARGUMENTS =
      "--enable-native-access=ALL-UNNAMED --sun-misc-unsafe-memory-access=allow"
          + " -Djnr.ffi.x86asm.enabled=false";

  private Main() {}

  public static void main(String[] arguments) throws Exception {
    List<String> all = new ArrayList<>(List.of("-jvmArgsPrepend", JVM_ARGUMENTS));
    all.addAll(List.of(arguments));
    org.openjdk.jcstress.Main.main(all.toArray(String[]::new));
  }
}

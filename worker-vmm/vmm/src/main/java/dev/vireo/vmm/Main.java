package dev.vireo.vmm;

import dev.vireo.linux.Fd;
import dev.vireo.linux.UnixListener;
import dev.vireo.vmm.control.ControlServer;
import dev.vireo.vmm.control.Rehearsal;
import dev.vireo.vmm.machine.MachineFactory;
import java.time.Duration;
import java.time.InstantSource;

/**
 * The VMM process: runs at most one microVM, for the worker that connects to the socket inherited
 * as descriptor 3. It opens no path of its own.
 */
public final class Main {
  private static final int CONTROL_SOCKET = 3;

  /** Followed by the number of an inherited descriptor of KVM. */
  private static final String REHEARSE = "--rehearse=";

  /** A connected worker that has not released an ended microVM by then is not going to. */
  private static final Duration RELEASE_WITHIN = Duration.ofSeconds(30);

  private Main() {}

  /**
   * @param arguments {@code --rehearse=4} to warm up with descriptor 4, which is {@code /dev/kvm};
   *     or nothing
   */
  public static void main(String[] arguments) {
    MachineFactory machines = new MachineFactory();
    UnixListener workers = new UnixListener(Fd.owning(CONTROL_SOCKET));
    for (String argument : arguments) {
      if (argument.startsWith(REHEARSE)) {
        int descriptor = Integer.parseInt(argument.substring(REHEARSE.length()));
        try (Fd kvm = Fd.owning(descriptor)) {
          Rehearsal.run(kvm, machines);
        }
      }
    }
    new ControlServer(workers, RELEASE_WITHIN, machines, InstantSource.system()).run();
    // Nothing is left to do that a shutdown hook could: the kernel frees what a guest had.
    Runtime.getRuntime().halt(0);
  }
}

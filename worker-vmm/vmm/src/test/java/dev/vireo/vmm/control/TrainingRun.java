package dev.vireo.vmm.control;

import dev.vireo.linux.Fd;
import dev.vireo.linux.LinuxException;
import dev.vireo.proto.vmm.v1.VmmStatus;
import dev.vireo.vmm.boot.TinyKernel;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;

/**
 * Takes a packaged VMM through its whole life, so that the JVM can write down which classes that
 * needs. Part of the build: {@code src/packaging/package.sh}.
 */
final class TrainingRun {
  /** Prints a dot and sleeps for ever, in 32-bit protected mode. */
  private static final byte[] DOT_AND_SLEEP = {
    (byte) 0xba,
    (byte) 0xf8,
    0x03,
    0x00,
    0x00, // mov edx, 0x3f8
    (byte) 0xb0,
    '.', // mov al, '.'
    (byte) 0xee, // out dx, al
    (byte) 0xf4, // hlt
    (byte) 0xeb,
    (byte) 0xfd // jmp to the hlt
  };

  private TrainingRun() {}

  /**
   * @param arguments the packaged VMM's directory, then all arguments for its JVM
   */
  public static void main(String[] arguments) throws IOException {
    Path home = Path.of(arguments[0]);
    List<String> jvmArguments = Arrays.asList(arguments).subList(1, arguments.length);
    String java = home.resolve("runtime/bin/java").toString();
    try (Fd kvm = kvm();
        VmmClient vmm = VmmClient.spawn(home, java, jvmArguments, kvm);
        Fd kernel = TinyKernel.file(TinyKernel.pvh(DOT_AND_SLEEP));
        Fd console = Fd.memory("console", 0);
        Fd exitRecord = Fd.memory("exit record", 0);
        Fd disk = Fd.memory("disk", 1 << 20)) {
      vmm.create(
          new VmmClient.Create(kvm, kernel, console, exitRecord)
              .commandLine("console=ttyS0")
              .disk("disk", disk)
              .entropy());
      if (vmm.status().getStatus().getEndMessage().isEmpty()) {
        vmm.awaitStatus(VmmStatus::getConsoleReady);
        vmm.pause();
        vmm.resume();
        vmm.inspect();
        vmm.stop(1);
        vmm.awaitEnd();
      }
      vmm.release();
      if (vmm.awaitExit().isEmpty()) {
        throw new IllegalStateException("the VMM does not exit; its log: " + vmm.log());
      }
    }
  }

  /** On a host without KVM the create fails, and the archive lacks what comes after. */
  private static Fd kvm() {
    try {
      return Fd.open("/dev/kvm", Fd.O_RDWR);
    } catch (LinuxException e) {
      return Fd.open("/dev/null", Fd.O_RDWR);
    }
  }
}

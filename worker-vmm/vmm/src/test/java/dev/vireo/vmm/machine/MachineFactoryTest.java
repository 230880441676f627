package dev.vireo.vmm.machine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import dev.vireo.linux.Fd;
import dev.vireo.proto.vmm.v1.EndCause;
import dev.vireo.vmm.boot.SpecException;
import dev.vireo.vmm.kvm.Kvm;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.stream.Stream;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** A machine that was begun before its spec is like any other, and nothing of it is left over. */
@Tag("kvm")
final class MachineFactoryTest {
  @ParameterizedTest
  @ValueSource(ints = {1, 2, 5})
  void aPreparedMachineRunsWithAsManyVcpusAsItsSpecSays(int vcpus) {
    try (Fd kernel = new GuestCode().print("hi").powerOff().kernel();
        TestMachine machine = TestMachine.with().prepared().vcpus(vcpus).build(kernel).start()) {
      assertEquals(EndCause.END_GUEST_POWER_OFF, machine.awaitEnd().cause());
      assertEquals("hi", machine.console());
      assertEquals(vcpus, machine.machine().exitsByVcpu().size());
    }
  }

  @Test
  void whatWasPreparedIsFreed() throws IOException {
    try (Fd kernel = new GuestCode().powerOff().kernel()) {
      prepareAndClose();
      assertThrows(SpecException.class, () -> refused(kernel));
      long before = openFiles();

      prepareAndClose();
      assertThrows(SpecException.class, () -> refused(kernel));
      TestMachine.with().prepared().vcpus(2).build(kernel).close();

      assertEquals(before, openFiles());
    }
  }

  private static void prepareAndClose() {
    try (Fd kvm = Fd.open("/dev/kvm", Fd.O_RDWR);
        MachineFactory machines = new MachineFactory()) {
      machines.prepare(new Kvm(kvm));
      machines.prepare(new Kvm(kvm));
    }
  }

  private static void refused(Fd kernel) {
    TestMachine.with().prepared().vcpus(100_000).build(kernel).close();
  }

  private static long openFiles() throws IOException {
    try (Stream<Path> files = Files.list(Path.of("/proc/self/fd"))) {
      return files.count();
    }
  }
}

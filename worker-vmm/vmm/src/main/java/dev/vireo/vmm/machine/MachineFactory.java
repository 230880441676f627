package dev.vireo.vmm.machine;

import dev.vireo.linux.Linux;
import dev.vireo.vmm.boot.SpecException;
import dev.vireo.vmm.kvm.Kvm;
import java.time.InstantSource;
import java.util.concurrent.atomic.AtomicReference;
import org.jspecify.annotations.Nullable;

/**
 * Makes machines of the host's architecture. What does not depend on a machine's spec it can make
 * beforehand, so that a spec that comes waits for less.
 */
public final class MachineFactory implements AutoCloseable {
  private final AtomicReference<@Nullable X86Chassis> chassis = new AtomicReference<>();

  /**
   * Prepares for one machine, if it has not. On arm64 there is nothing to prepare: KVM sets the
   * interrupt controller up after the last of the vCPUs, and the spec tells how many there are.
   *
   * @param kvm of the same KVM as the one that {@link #make} will get
   * @throws dev.vireo.linux.LinuxException if KVM refuses
   */
  public void prepare(Kvm kvm) {
    if (Linux.X86_64 && chassis.get() == null) {
      chassis.set(new X86Chassis(kvm));
    }
  }

  /**
   * Makes a machine; nothing runs yet.
   *
   * @throws SpecException if none can be made from the spec
   * @throws dev.vireo.linux.LinuxException if KVM refuses
   */
  public Machine make(Kvm kvm, Machine.Spec spec, InstantSource time, Machine.Listener listener) {
    if (!Linux.X86_64) {
      return new Arm64Machine(kvm, spec, time, listener);
    }
    X86Chassis prepared = chassis.getAndSet(null);
    return new X86Machine(prepared != null ? prepared : new X86Chassis(kvm), spec, time, listener);
  }

  /** From where on memory can be plugged into a machine with {@code memoryBytes} of RAM. */
  public static long hotplugBase(long memoryBytes) {
    return Linux.X86_64
        ? X86Machine.hotplugBaseFor(memoryBytes)
        : Arm64Machine.hotplugBaseFor(memoryBytes);
  }

  /** Frees what was prepared and not used. */
  @Override
  public void close() {
    X86Chassis unused = chassis.getAndSet(null);
    if (unused != null) {
      unused.close();
    }
  }
}

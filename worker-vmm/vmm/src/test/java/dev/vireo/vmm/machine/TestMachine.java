package dev.vireo.vmm.machine;

import static java.nio.charset.StandardCharsets.ISO_8859_1;

import dev.vireo.linux.Fd;
import dev.vireo.linux.testing.Patience;
import dev.vireo.proto.vmm.v1.AnnouncementMode;
import dev.vireo.proto.vmm.v1.EndCause;
import dev.vireo.proto.vmm.v1.RegisterPageMode;
import dev.vireo.vmm.kvm.Kvm;
import dev.vireo.vmm.memory.HotplugLayout;
import dev.vireo.vmm.virtio.VirtioDevice;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.time.Duration;
import java.time.InstantSource;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.jspecify.annotations.Nullable;

/** A machine on this host's KVM with its console in memory, for tests. Closing it ends it. */
final class TestMachine implements Machine.Listener, ConsoleFile.Listener, AutoCloseable {
  static final long MIB = 1 << 20;

  private static final Duration TIMEOUT = Patience.ofSeconds(60);

  /** How it ended. */
  record Ended(EndCause cause, String message) {}

  private final Fd kvm = Fd.open("/dev/kvm", Fd.O_RDWR);
  private final Fd consoleFile = Fd.memory("console", 0);
  private final CompletableFuture<Void> ran = new CompletableFuture<>();
  private final CompletableFuture<Void> ready = new CompletableFuture<>();
  private final CompletableFuture<Ended> ended = new CompletableFuture<>();
  private final Machine machine;
  private boolean startedOnce;

  private TestMachine(Builder builder, Fd kernel) {
    ConsoleFile console = new ConsoleFile(consoleFile, MIB, builder.readyMarker, this);
    try (MachineFactory machines = new MachineFactory()) {
      if (builder.prepared) {
        machines.prepare(new Kvm(kvm));
      }
      Machine.Spec spec =
          new Machine.Spec(
              builder.vcpus,
              builder.memoryMib * MIB,
              builder.memoryFile,
              builder.hotplug,
              kernel,
              null,
              builder.commandLine,
              AnnouncementMode.ANNOUNCE_CMDLINE,
              builder.registerPage,
              builder.devices,
              console);
      machine =
          builder.registerPages == null
              ? machines.make(new Kvm(kvm), spec, InstantSource.system(), this)
              : new X86Machine(
                  new X86Chassis(new Kvm(kvm)),
                  spec,
                  builder.registerPages,
                  InstantSource.system(),
                  this);
    } catch (RuntimeException e) {
      kvm.close();
      consoleFile.close();
      throw e;
    }
  }

  /** What differs from a machine of one vCPU and 16 MiB without devices. */
  static final class Builder {
    private int vcpus = 1;
    private long memoryMib = 16;
    private String commandLine = "";
    private String readyMarker = "";
    private RegisterPageMode registerPage = RegisterPageMode.REGISTER_PAGE_AUTO;
    private @Nullable RegisterPages registerPages;
    private Machine.@Nullable MemoryFile memoryFile;
    private @Nullable HotplugLayout hotplug;
    private List<VirtioDevice> devices = List.of();
    private boolean prepared;

    Builder vcpus(int count) {
      this.vcpus = count;
      return this;
    }

    Builder memoryMib(long mib) {
      this.memoryMib = mib;
      return this;
    }

    Builder commandLine(String arguments) {
      this.commandLine = arguments;
      return this;
    }

    Builder readyMarker(String marker) {
      this.readyMarker = marker;
      return this;
    }

    Builder registerPage(RegisterPageMode mode) {
      this.registerPage = mode;
      return this;
    }

    /** Memory that others can map too. */
    Builder memoryFile(Fd fd, long pageBytes) {
      this.memoryFile = new Machine.MemoryFile(fd, pageBytes);
      return this;
    }

    /** Where memory can be plugged. */
    Builder hotplug(HotplugLayout layout) {
      this.hotplug = layout;
      return this;
    }

    /** In place of those of the mode. */
    Builder registerPages(RegisterPages pages) {
      this.registerPages = pages;
      return this;
    }

    Builder devices(VirtioDevice... all) {
      this.devices = List.of(all);
      return this;
    }

    /** By a factory that was prepared before there was a spec. */
    Builder prepared() {
      this.prepared = true;
      return this;
    }

    TestMachine build(Fd kernel) {
      return new TestMachine(this, kernel);
    }
  }

  static Builder with() {
    return new Builder();
  }

  Machine machine() {
    return machine;
  }

  TestMachine start() {
    startedOnce = true;
    machine.start();
    return this;
  }

  void awaitRan() {
    await(ran);
  }

  void awaitReady() {
    await(ready);
  }

  Ended awaitEnd() {
    return await(ended);
  }

  boolean hasEnded() {
    return ended.isDone();
  }

  String console() {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment text = arena.allocate(Math.max(consoleFile.size(), 1));
      long length = consoleFile.readFully(text, 0);
      return new String(text.asSlice(0, length).toArray(ValueLayout.JAVA_BYTE), ISO_8859_1);
    }
  }

  private <T> T await(CompletableFuture<T> future) {
    try {
      return future.get(TIMEOUT.toSeconds(), TimeUnit.SECONDS);
    } catch (InterruptedException | ExecutionException | TimeoutException e) {
      throw new AssertionError("the guest did not get there; it said: " + console(), e);
    }
  }

  @Override
  public void guestRan() {
    ran.complete(null);
  }

  @Override
  public void consoleStarted() {}

  @Override
  public void consoleReady() {
    ready.complete(null);
  }

  @Override
  public void ended(EndCause cause, String message) {
    ended.complete(new Ended(cause, message));
  }

  @Override
  public void close() {
    if (startedOnce) {
      machine.stop("end of the test");
      awaitEnd();
    }
    machine.close();
    consoleFile.close();
    kvm.close();
  }
}

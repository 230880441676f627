package dev.vireo.emulated;

import dev.vireo.images.Commands;
import dev.vireo.images.ImageException;
import java.io.IOException;
import java.io.InputStream;
import java.lang.ProcessBuilder.Redirect;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/**
 * A QEMU process that emulates a machine with nested hardware virtualization, and its owner. It
 * dies with the thread that started it (PR_SET_PDEATHSIG), also if that was killed; for the case
 * that the kernel did not get to that, a record in the state directory lets the next start, or
 * {@link #removeLeftover}, find and end it.
 */
final class OuterMachine implements AutoCloseable {
  /** The kernel's console and the marks of the outer init. */
  static final String CONSOLE_FILE = "console.log";

  /** How often to try when {@link #lostItsClock}. */
  static final int MOST_STARTS = 4;

  /** A unix socket; see {@link ShellClient}. */
  static final String SHELL_SOCKET = "shell.sock";

  private static final Pattern CLOCK_IS_OFF =
      Pattern.compile("vireo-emulated: \\S+ clock is off by ");

  private static final String KERNEL_ARGUMENTS =
      "quiet panic=-1 mitigations=off nokaslr random.trust_cpu=on"
          // Interfaces are named in order of discovery, whatever the bus.
          + " net.ifnames=0";

  private static final String RECORD_FILE = "qemu.pid";
  private static final String JOB_FILE = "job.sh";

  /**
   * What to run.
   *
   * @param jobDisk see {@link JobDisk}
   * @param script what the outer machine's shell runs, in {@code /job}; it powers off afterwards
   * @param memoryMib of the outer machine
   * @param kernelArguments beyond those that it always gets
   */
  record Job(Path jobDisk, String script, int memoryMib, String kernelArguments) {
    Job(Path jobDisk, String script, int memoryMib) {
      this(jobDisk, script, memoryMib, "");
    }
  }

  private final Process qemu;
  private final Path stateDirectory;

  private OuterMachine(Process qemu, Path stateDirectory) {
    this.qemu = qemu;
    this.stateDirectory = stateDirectory;
  }

  /**
   * Starts a machine. The calling thread must outlive it.
   *
   * @param stateDirectory of this machine alone; made when needed
   * @param output where the job's standard output and error go
   */
  static OuterMachine start(OuterImage image, Job job, Path stateDirectory, Redirect output)
      throws IOException, ImageException {
    Files.createDirectories(stateDirectory);
    removeLeftover(stateDirectory);
    Files.deleteIfExists(stateDirectory.resolve(CONSOLE_FILE));
    Path script = stateDirectory.resolve(JOB_FILE);
    Files.writeString(script, job.script());
    Process qemu =
        new ProcessBuilder(commandLine(image, job, stateDirectory))
            .redirectInput(Redirect.from(Path.of("/dev/null").toFile()))
            .redirectOutput(output)
            .redirectError(Redirect.INHERIT)
            .start();
    OuterMachine machine = new OuterMachine(qemu, stateDirectory);
    var record = ProcessRecord.of(qemu.pid());
    if (record.isPresent()) {
      record.get().write(stateDirectory.resolve(RECORD_FILE));
    }
    return machine;
  }

  /** Ends a machine whose owner was killed. Nothing happens when there is none. */
  static void removeLeftover(Path stateDirectory) throws IOException {
    Path file = stateDirectory.resolve(RECORD_FILE);
    var record = ProcessRecord.read(file);
    if (record.isPresent()) {
      record.get().kill();
    }
    Files.deleteIfExists(file);
  }

  private static List<String> commandLine(OuterImage image, Job job, Path stateDirectory)
      throws ImageException {
    EmulatedMachine machine = EmulatedMachine.of(image.architecture());
    List<String> command = new ArrayList<>();
    Stream.of(
            // QEMU goes when we go, however we go.
            "setpriv --pdeathsig KILL --",
            Commands.locate(machine.program()).toString(),
            "-name vireo-emulated -no-user-config -nodefaults -display none -no-reboot",
            "-accel tcg,thread=multi,tb-size=512",
            machine.options(),
            // A second virtual CPU costs more than it brings.
            "-smp 1 -m",
            Integer.toString(job.memoryMib()))
        .flatMap(words -> Stream.of(words.split(" ", -1)))
        .forEach(command::add);
    command.addAll(List.of("-kernel", image.kernel().toString()));
    command.addAll(List.of("-initrd", image.initramfs().toString()));
    command.addAll(
        List.of(
            "-append",
            "%s %s %s"
                .formatted(KERNEL_ARGUMENTS, machine.kernelArguments(), job.kernelArguments())));
    command.addAll(List.of("-drive", disk(image.rootDisk()) + ",snapshot=on"));
    command.addAll(List.of("-drive", disk(job.jobDisk()) + ",readonly=on"));
    // Nothing boots from the network: its ROM may be missing.
    command.addAll(List.of("-netdev", "user,id=net"));
    command.addAll(List.of("-device", "virtio-net-pci,netdev=net,romfile="));
    command.addAll(List.of("-serial", "file:" + escape(stateDirectory.resolve(CONSOLE_FILE))));
    command.addAll(List.of("-chardev", "stdio,id=job"));
    command.addAll(
        List.of(
            "-chardev",
            "socket,id=shell,server=on,wait=off,path="
                + escape(stateDirectory.resolve(SHELL_SOCKET))));
    command.addAll(List.of("-device", machine.serialDevice() + ",chardev=job"));
    command.addAll(List.of("-device", machine.serialDevice() + ",chardev=shell"));
    command.addAll(
        List.of("-fw_cfg", "name=opt/vireo/run,file=" + escape(stateDirectory.resolve(JOB_FILE))));
    return command;
  }

  private static String disk(Path file) {
    return "if=virtio,format=raw,cache=unsafe,file=" + escape(file);
  }

  /** In QEMU's options a comma separates; two stand for one. */
  private static String escape(Path file) {
    return file.toAbsolutePath().toString().replace(",", ",,");
  }

  /**
   * Whether it gave up because its clock ran wrong, which happens on hosts under heavy load. It has
   * not begun its job then, and may simply be started again.
   */
  boolean lostItsClock() throws IOException {
    return CLOCK_IS_OFF.matcher(console()).find();
  }

  /** Waits for the machine's end; false if it still runs after so many seconds. */
  boolean await(long seconds) throws InterruptedException {
    return qemu.waitFor(seconds, TimeUnit.SECONDS);
  }

  /** Waits for the machine's end. */
  void await() throws InterruptedException {
    qemu.waitFor();
  }

  /** What the outer kernel and init have said so far. */
  String console() throws IOException {
    Path file = stateDirectory.resolve(CONSOLE_FILE);
    // A guest may write any byte.
    return Files.exists(file)
        ? new String(Files.readAllBytes(file), java.nio.charset.StandardCharsets.ISO_8859_1)
        : "";
  }

  /** What the job says, if it was started with {@link Redirect#PIPE}; otherwise at its end. */
  InputStream output() {
    return qemu.getInputStream();
  }

  /** Ends the machine at once. Files stay; may be called at any time, by any thread. */
  void pullPlug() {
    qemu.destroyForcibly();
    qemu.onExit().join();
  }

  /** Ends the machine and removes what only it needed. */
  @Override
  public void close() throws IOException {
    pullPlug();
    Files.deleteIfExists(stateDirectory.resolve(RECORD_FILE));
    Files.deleteIfExists(stateDirectory.resolve(JOB_FILE));
    Files.deleteIfExists(stateDirectory.resolve(SHELL_SOCKET));
  }
}

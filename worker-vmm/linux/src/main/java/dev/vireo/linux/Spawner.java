package dev.vireo.linux;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * Starts a process by {@code posix_spawn(3)}: with exactly the descriptors it is given, no signal
 * blocked or ignored, and nothing else of ours.
 */
public final class Spawner {
  private static final int POSIX_SPAWN_SETSIGDEF = 0x04;
  private static final int POSIX_SPAWN_SETSIGMASK = 0x08;
  private static final int POSIX_SPAWN_SETSID = 0x80;

  /** More than glibc's posix_spawn_file_actions_t (80) and posix_spawnattr_t (336) have. */
  private static final int OPAQUE_BYTES = 1024;

  private static final int SIGSET_BYTES = 128;
  private static final int FIRST_INHERITED = 3;

  /** Above every target number, so that no dup2 overwrites a source that is still needed. */
  private static final int PARKED_DESCRIPTORS = 512;

  /**
   * What to start.
   *
   * @param executable absolute path, or relative to {@code workingDirectory}
   * @param arguments {@code argv} from the second on; the first is the executable
   * @param environment all of it: nothing is inherited
   * @param output stdout and stderr; /dev/null if null. stdin is /dev/null always
   * @param inherited become 3, 4, … in this order; everything above is closed
   * @param newSession become leader of a new session ({@code setsid(2)}), out of reach of our
   *     terminal's signals
   */
  public record Command(
      String executable,
      List<String> arguments,
      Map<String, String> environment,
      String workingDirectory,
      @Nullable Fd output,
      List<Fd> inherited,
      boolean newSession) {}

  private Spawner() {}

  /**
   * Starts it.
   *
   * @return the process, which is our child: {@link ProcessHandleFd#awaitExit} reaps it
   * @throws LinuxException if there is no such program or working directory, for example
   */
  public static ProcessHandleFd spawn(Command command) {
    try (Arena arena = Arena.ofConfined();
        Parking parking = new Parking(command)) {
      MemorySegment actions = arena.allocate(OPAQUE_BYTES, 16);
      MemorySegment attributes = arena.allocate(OPAQUE_BYTES, 16);
      Libc libc = Linux.libc();
      Linux.checkNumber(libc.posix_spawn_file_actions_init(actions.address()), "posix_spawn");
      Linux.checkNumber(libc.posix_spawnattr_init(attributes.address()), "posix_spawn");
      try {
        addFileActions(arena, actions.address(), command, parking);
        setAttributes(arena, attributes.address(), command);
        return ProcessHandleFd.ofChild(libc, spawn(arena, actions, attributes, command));
      } finally {
        int ignored = libc.posix_spawn_file_actions_destroy(actions.address());
        ignored = libc.posix_spawnattr_destroy(attributes.address());
      }
    }
  }

  private static int spawn(
      Arena arena, MemorySegment actions, MemorySegment attributes, Command command) {
    MemorySegment pid = arena.allocate(4, 4);
    Linux.checkNumber(
        Linux.libc()
            .posix_spawn(
                pid.address(),
                Linux.cString(arena, command.executable()),
                actions.address(),
                attributes.address(),
                argumentVector(arena, command),
                environment(arena, command.environment())),
        "posix_spawn " + command.executable());
    return pid.get(ValueLayout.JAVA_INT, 0);
  }

  private static void addFileActions(Arena arena, long actions, Command command, Parking parking) {
    Libc libc = Linux.libc();
    long devNull = Linux.cString(arena, "/dev/null");
    check(libc.posix_spawn_file_actions_addopen(actions, 0, devNull, Fd.O_RDWR, 0));
    check(libc.posix_spawn_file_actions_adddup2(actions, parking.outputOr(0), 1));
    check(libc.posix_spawn_file_actions_adddup2(actions, parking.outputOr(0), 2));
    int next = FIRST_INHERITED;
    for (Fd source : parking.inherited) {
      check(libc.posix_spawn_file_actions_adddup2(actions, source.number(), next++));
    }
    check(libc.posix_spawn_file_actions_addclosefrom_np(actions, next));
    check(
        libc.posix_spawn_file_actions_addchdir_np(
            actions, Linux.cString(arena, command.workingDirectory())));
  }

  private static void setAttributes(Arena arena, long attributes, Command command) {
    Libc libc = Linux.libc();
    MemorySegment none = arena.allocate(SIGSET_BYTES, 8);
    MemorySegment all = arena.allocate(SIGSET_BYTES, 8);
    all.fill((byte) 0xff);
    check(libc.posix_spawnattr_setsigmask(attributes, none.address()));
    check(libc.posix_spawnattr_setsigdefault(attributes, all.address()));
    int flags = POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK;
    check(
        libc.posix_spawnattr_setflags(
            attributes, command.newSession() ? flags | POSIX_SPAWN_SETSID : flags));
  }

  private static long argumentVector(Arena arena, Command command) {
    List<String> arguments = command.arguments();
    MemorySegment vector = arena.allocate(8L * (arguments.size() + 2), 8);
    vector.set(ValueLayout.JAVA_LONG, 0, Linux.cString(arena, command.executable()));
    for (int i = 0; i < arguments.size(); i++) {
      vector.set(ValueLayout.JAVA_LONG, 8L * (i + 1), Linux.cString(arena, arguments.get(i)));
    }
    return vector.address();
  }

  private static long environment(Arena arena, Map<String, String> environment) {
    MemorySegment vector = arena.allocate(8L * (environment.size() + 1), 8);
    int i = 0;
    for (Map.Entry<String, String> entry : environment.entrySet()) {
      String variable = entry.getKey() + "=" + entry.getValue();
      vector.set(ValueLayout.JAVA_LONG, 8L * i++, Linux.cString(arena, variable));
    }
    return vector.address();
  }

  private static void check(int error) {
    Linux.checkNumber(error, "posix_spawn");
  }

  /** Duplicates of the descriptors to be inherited, out of the way of the numbers they will get. */
  private static final class Parking implements AutoCloseable {
    private final List<Fd> inherited = new ArrayList<>();
    private @Nullable Fd output;

    Parking(Command command) {
      try {
        if (command.output() != null) {
          output = command.output().duplicate(PARKED_DESCRIPTORS);
        }
        for (Fd fd : command.inherited()) {
          inherited.add(fd.duplicate(PARKED_DESCRIPTORS));
        }
      } catch (RuntimeException e) {
        close();
        throw e;
      }
    }

    int outputOr(int otherwise) {
      return output == null ? otherwise : output.number();
    }

    @Override
    public void close() {
      if (output != null) {
        output.close();
      }
      inherited.forEach(Fd::close);
    }
  }
}
